//! What an event is: categories by kind and name, from a table that people can add to.

use aho_corasick::AhoCorasick;
use ron::extensions::Extensions;
use serde::{Deserialize, Serialize};

use super::TraceError;

/// The table that is compiled in.
const DEFAULT: &str = include_str!("patterns.ron");

/// A table of patterns as it is written. Every field may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    device: Vec<String>,
    left_out: Vec<String>,
    small: Option<Small>,
    categories: Vec<Rule>,
}

/// One line of a category; a category may have several.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    category: String,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
}

/// Which names are listed as small frequent operations.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Small {
    /// The time that their events stay below on average, in µs.
    pub below_us: f64,
    /// How many are listed.
    pub listed: usize,
    /// The kinds of events that are looked at.
    pub kinds: Vec<String>,
}

/// A category, by its place in [`Patterns::categories`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CategoryId(pub(super) u16);

/// What an event is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Its categories, in the order of the table.
    pub categories: Vec<CategoryId>,
    /// Whether it ran on a GPU.
    pub device: bool,
    /// Whether it may be listed as a small operation.
    pub listed: bool,
    /// Whether it counts nowhere.
    pub left_out: bool,
}

/// A table of patterns, ready to classify.
#[derive(Clone, Debug)]
pub struct Patterns {
    categories: Vec<String>,
    device: Vec<String>,
    left_out: Vec<String>,
    small: Small,
    /// Each rule's category and kinds.
    rules: Vec<(CategoryId, Vec<String>)>,
    /// Rules that take any name.
    nameless: Vec<usize>,
    /// All names of all rules at once, and what each needs beside being there.
    finder: AhoCorasick,
    needles: Vec<Needle>,
}

/// Where a text must stand in a name, and the rule that it is for.
#[derive(Clone, Copy, Debug)]
struct Needle {
    rule: usize,
    at_start: bool,
    at_end: bool,
}

impl Patterns {
    /// The table that is compiled in: PyTorch's events and ours.
    ///
    /// # Errors
    /// None: a test reads the table.
    pub fn standard() -> Result<Self, TraceError> {
        Self::new(&[])
    }

    /// The table that is compiled in, and what others, in RON, add to it: kinds, categories, lines of known categories. Their
    /// `small` replaces the one before.
    ///
    /// # Errors
    /// A table that does not parse, or a pattern without text.
    pub fn new(additions: &[&str]) -> Result<Self, TraceError> {
        let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
        let mut all = Table::default();
        for text in [DEFAULT].iter().chain(additions) {
            let table: Table = options.from_str(text).map_err(Box::new)?;
            all.device.extend(table.device);
            all.left_out.extend(table.left_out);
            all.small = table.small.or(all.small);
            all.categories.extend(table.categories);
        }
        Self::compile(all)
    }

    fn compile(table: Table) -> Result<Self, TraceError> {
        let (mut categories, mut rules): (Vec<String>, Vec<_>) = Default::default();
        let (mut nameless, mut needles, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for (index, rule) in table.categories.into_iter().enumerate() {
            let known = categories.iter().position(|name| *name == rule.category);
            let category = known.unwrap_or(categories.len());
            let fault = |pattern: &str, fault: &str| TraceError::Pattern {
                category: rule.category.clone(),
                pattern: pattern.to_owned(),
                fault: fault.to_owned(),
            };
            let id = u16::try_from(category)
                .map(CategoryId)
                .map_err(|_| fault("", "is of one category too many"))?;
            if known.is_none() {
                categories.push(rule.category.clone());
            }
            if rule.names.is_empty() {
                nameless.push(index);
            }
            for name in &rule.names {
                let (text, at_start) =
                    name.strip_prefix('^').map_or((name.as_str(), false), |text| (text, true));
                let (text, at_end) = text.strip_suffix('$').map_or((text, false), |text| (text, true));
                if text.is_empty() {
                    return Err(fault(name, "has no text; leave `names` out to take any name"));
                }
                needles.push(Needle { rule: index, at_start, at_end });
                texts.push(text.to_owned());
            }
            rules.push((id, rule.kinds));
        }
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(&texts).map_err(|error| {
            TraceError::Pattern { category: String::new(), pattern: String::new(), fault: error.to_string() }
        })?;
        let Table { device, left_out, small, .. } = table;
        let small = small.unwrap_or_default();
        Ok(Self { categories, device, left_out, small, rules, nameless, finder, needles })
    }

    /// The names of the categories, in the order of the table.
    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// Which names are listed as small operations.
    #[must_use]
    pub fn small(&self) -> &Small {
        &self.small
    }

    /// What an event of this kind and name is.
    #[must_use]
    pub fn classify(&self, kind: &str, name: &str) -> Class {
        let within = |kinds: &[String]| kinds.iter().any(|one| one == kind);
        let mut class = Class {
            categories: Vec::new(),
            device: within(&self.device),
            listed: within(&self.small.kinds),
            left_out: within(&self.left_out),
        };
        let named = self.finder.find_overlapping_iter(name).filter_map(|hit| {
            let needle = self.needles[hit.pattern().as_usize()];
            let stands =
                (!needle.at_start || hit.start() == 0) && (!needle.at_end || hit.end() == name.len());
            stands.then_some(needle.rule)
        });
        for rule in self.nameless.iter().copied().chain(named) {
            let (category, kinds) = &self.rules[rule];
            if (kinds.is_empty() || within(kinds)) && !class.categories.contains(category) {
                class.categories.push(*category);
            }
        }
        class.categories.sort_unstable();
        class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(patterns: &'a Patterns, kind: &str, name: &str) -> Vec<&'a str> {
        let class = patterns.classify(kind, name);
        class.categories.iter().map(|id| patterns.categories()[usize::from(id.0)].as_str()).collect()
    }

    #[test]
    fn the_standard_table_knows_pytorch() {
        let patterns = Patterns::standard().unwrap();
        for (kind, name, expected) in [
            ("cuda_runtime", "cudaLaunchKernel", &["kernel launches"] as &[&str]),
            ("cuda_driver", "cuLaunchKernelEx", &["kernel launches"]),
            ("cuda_runtime", "cudaLaunchKernelExC", &["kernel launches"]),
            ("cuda_runtime", "cudaMemcpyAsync", &[]),
            ("cuda_runtime", "cudaStreamSynchronize", &["synchronizations"]),
            ("kernel", "void gemv2T_kernel_val<int, int>", &["kernels", "matrix products"]),
            ("kernel", "gemm_gate_up", &["kernels", "matrix products"]),
            ("kernel", "choose", &["kernels", "planning and choosing"]),
            ("kernel", "heads", &["kernels", "small kernels of a layer"]),
            ("kernel", "void pytorch_flash::flash_fwd_splitkv_kernel<…>", &["kernels", "attention kernels"]),
            ("kernel", "fmha_cutlassF_bf16_aligned_64x64_rf_sm80", &["kernels", "attention kernels"]),
            (
                "kernel",
                "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(…)>",
                &["kernels", "elementwise kernels", "copy kernels"],
            ),
            (
                "kernel",
                "void at::native::(anonymous namespace)::CatArrayBatchedCopy_vectorized<…>",
                &["kernels", "concatenation kernels"],
            ),
            ("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", &["memory copies"]),
            ("gpu_memset", "Memset (Device)", &["memory sets"]),
            ("cpu_op", "aten::masked_fill_", &["masking operations"]),
            ("cpu_op", "aten::masked_fill", &[]),
            ("cpu_op", "aten::catalogue", &[]),
            ("python_function", "processor.py(12): build_Template", &["template building"]),
            ("tplc", "prefill", &["forward passes"]),
            ("other", "forward", &[]),
        ] {
            assert_eq!(names(&patterns, kind, name), expected, "{kind} {name}");
        }
        let memset = patterns.classify("gpu_memset", "Memset (Device)");
        assert!(memset.device && memset.listed && !memset.left_out);
        assert!(patterns.classify("Trace", "PyTorch Profiler (0)").left_out);
    }

    #[test]
    fn tables_add_to_the_one_before() {
        let mine = r#"(
            small: (below_us: 1, listed: 3, kinds: []),
            categories: [
                (category: "mine", names: ["^abc", "bcd"]),
                (category: "matcher", kinds: ["x"], names: ["fsm"]),
            ],
        )"#;
        let patterns = Patterns::new(&[mine]).unwrap();
        assert_eq!(names(&patterns, "x", "abcd fsm"), ["matcher", "mine"]);
        assert_eq!(names(&patterns, "y", "xabcd"), ["mine"]);
        assert_eq!(names(&patterns, "y", "xabc"), [""; 0]);
        assert_eq!(patterns.small().listed, 3);
        assert!(!patterns.classify("kernel", "k").listed);
    }
}
