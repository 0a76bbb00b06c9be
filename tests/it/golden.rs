//! Snapshots live in `golden/`, as plain text under their own names.

/// Compares `text` with `golden/<folder>/<name>.snap`.
pub(crate) fn check(folder: &str, name: &str, text: impl AsRef<str>) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/golden").to_owned() + "/" + folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text.as_ref()));
}
