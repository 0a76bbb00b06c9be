//! Where outputs may go, and what is left behind if a run ends early.

use std::{fs, path::Path};

use crate::cli::{folder, run};

const COUNT: [&str; 6] = ["analyze", "--tokenizer", "gpt-2", "--corpus", "rows.txt", "--partial"];

/// Writes rows of which the second is bad, counts them to `output`, and shows exit status and standard error.
fn count(here: &Path, output: &str, more: &[&str]) -> (i32, String) {
    fs::write(here.join("rows.txt"), "[C]<0.5,0,0>=[O]<1.25,0,0>\n[C]<0,0\n").unwrap();
    let (code, _, stderr) = run(here, &[&COUNT[..], &[output], more].concat(), "");
    (code, stderr)
}

fn names(here: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(here).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_dash_is_no_output() {
    let here = folder();
    let (code, stderr) = count(here.path(), "-", &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("./-"), "{stderr}");
    assert_eq!(names(here.path()), ["rows.txt"]);
    assert_eq!(count(here.path(), "./-", &[]).0, 0);
    assert_eq!(names(here.path()), ["-", "rows.txt"]);
}

/// What cannot be written is told before anything is read, and by the name that was given.
#[test]
fn an_output_is_tried_before_the_work() {
    let here = folder();
    fs::create_dir(here.path().join("out.json")).unwrap();
    let (code, stderr) = count(here.path(), "out.json", &[]);
    assert_eq!((code, stderr.as_str()), (2, "error: cannot write out.json: it is a folder\n"));
    for args in [&["merge", "no.json"][..], &["merge", "no.tplc"]] {
        let (code, _, stderr) = run(here.path(), &[args, &["--output", "out.json"]].concat(), "");
        assert_eq!((code, stderr.as_str()), (2, "error: cannot write out.json: it is a folder\n"));
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::fs::{FileTypeExt, PermissionsExt, symlink},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::cli::program;

    #[test]
    fn links_are_followed() {
        let here = folder();
        let there = folder();
        fs::write(there.path().join("old.json"), "old").unwrap();
        for name in ["old.json", "new.json"] {
            symlink(there.path().join(name), here.path().join(name)).unwrap();
            assert_eq!(count(here.path(), name, &[]).0, 0);
            assert!(here.path().join(name).is_symlink());
            assert!(fs::read_to_string(there.path().join(name)).unwrap().contains("partials"));
        }
        assert_eq!(names(there.path()), ["new.json", "old.json"]);
        // A link to an input is that input, and a link that leads round is nowhere.
        symlink("rows.txt", here.path().join("rows.json")).unwrap();
        let (code, stderr) = count(here.path(), "rows.json", &[]);
        assert!(code == 2 && stderr.contains("it is an input or another output"), "{stderr}");
        symlink("round.json", here.path().join("round.json")).unwrap();
        assert_eq!(count(here.path(), "round.json", &[]).0, 2);
    }

    #[test]
    fn the_file_that_standard_output_goes_to_is_no_other_output() {
        let here = folder();
        fs::write(here.path().join("rows.txt"), "[C]<0.5,0,0>\n").unwrap();
        let stdout = fs::File::create(here.path().join("all.txt")).unwrap();
        let args = [&COUNT[..], &["all.txt"]].concat();
        let status = program(here.path(), &args).stdout(stdout).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(2));
    }

    #[test]
    fn a_pipe_is_written_into() {
        let here = folder();
        for name in ["partial", "rejects"] {
            assert!(Command::new("mkfifo").arg(here.path().join(name)).status().unwrap().success());
        }
        let reader = |name| {
            let cat = Command::new("cat").arg(here.path().join(name)).stdout(Stdio::piped()).spawn();
            std::thread::spawn(move || cat.unwrap().wait_with_output().unwrap().stdout)
        };
        let (partial, rejects) = (reader("partial"), reader("rejects"));
        let (code, stderr) = count(here.path(), "partial", &["--rejects", "rejects"]);
        assert_eq!(code, 0, "{stderr}");
        for name in ["partial", "rejects"] {
            assert!(fs::metadata(here.path().join(name)).unwrap().file_type().is_fifo());
        }
        assert!(String::from_utf8(partial.join().unwrap()).unwrap().contains("partials"));
        assert_eq!(rejects.join().unwrap(), b"[C]<0,0\n");
        assert_eq!(names(here.path()), ["partial", "rejects", "rows.txt"]);
    }

    /// With a device of our own making that swallows everything, where one may be made and used.
    #[test]
    fn a_device_stays_one() {
        let here = folder();
        let device = here.path().join("swallow");
        let made = Command::new("mknod").arg(&device).args(["c", "1", "3"]).stderr(Stdio::null()).status();
        let usable = || fs::File::options().write(true).open(&device).is_ok();
        if made.is_ok_and(|made| made.success()) && usable() {
            let (code, stderr) = count(here.path(), "swallow", &["--rejects", "swallow"]);
            assert_eq!(code, 0, "{stderr}");
            assert!(fs::metadata(&device).unwrap().file_type().is_char_device());
        }
    }

    /// For whoever may write everywhere (root), there is no such folder.
    #[test]
    fn a_read_only_folder_is_told_before_the_work() {
        let here = folder();
        let locked = here.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(locked.join("probe"), "").is_err() {
            let (code, stderr) = count(here.path(), "locked/out.json", &[]);
            let told = "error: cannot write locked/out.json\n  because permission denied\n";
            assert_eq!((code, stderr.as_str()), (2, told));
        }
    }

    /// Rejects have no name before they are whole.
    #[test]
    fn who_is_killed_leaves_nothing_behind() {
        let here = folder();
        let args =
            ["analyze", "-t", "gpt-2", "-c", "-", "--corpus-format", "enriched", "--rejects", "kept.txt"];
        let mut child = program(here.path(), &args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // More than two batches, so that one is counted while standard input stays open.
        stdin.write_all("[C]<0,0\n".repeat(6000).as_bytes()).unwrap();
        let mut told = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
        assert!(told.starts_with("skipped"), "{told}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(names(here.path()), [""; 0]);
    }
}
