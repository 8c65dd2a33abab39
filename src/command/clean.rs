//! `vtbuild clean`.

use camino::Utf8PathBuf;

use super::print;
use crate::cli::CleanArgs;
use crate::exit::{Exit, Failure};
use crate::scratch;
use crate::workspace::Workspace;

/// Removes the job results of a workspace and what dead runs left in the cache's scratch folder.
pub fn clean(args: &CleanArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open_offline(&args.place)?;
    let mut doomed: Vec<Utf8PathBuf> = jobs(&workspace);
    doomed.extend(scratch::abandoned(&workspace.cache));
    for path in &doomed {
        if args.dry_run {
            print(&format!("would remove {path}\n"))?;
            continue;
        }
        let removed = if path.is_symlink() {
            std::fs::remove_file(path)
        } else {
            std::fs::remove_dir_all(path)
        };
        removed.map_err(|error| Failure::environment(format!("failed to remove {path}: {error}")))?;
    }
    if !args.dry_run {
        print(&format!(
            "removed {} folders; the cache stays (see `vtbuild cache gc`)\n",
            doomed.len()
        ))?;
    }
    Ok(Exit::Good)
}

/// Folders that a run of ours made, and the link to the newest. Nothing else in the results folder is touched.
fn jobs(workspace: &Workspace) -> Vec<Utf8PathBuf> {
    let results = workspace.root.join("job-results");
    let entries = results.read_dir_utf8().into_iter().flatten().flatten();
    let ours = |path: &Utf8PathBuf| {
        let name = path.file_name().unwrap_or_default();
        (name.starts_with("job-") && path.join("job.log").is_file())
            || (name == "latest" && path.is_symlink())
    };
    let mut jobs: Vec<_> = entries
        .map(camino::Utf8DirEntry::into_path)
        .filter(ours)
        .collect();
    jobs.sort();
    jobs
}
