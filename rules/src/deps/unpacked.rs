//! What was built, in folders of the test's own.

use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use vtbuild_engine::rule::Job;
use vtbuild_providers::build::{SourceTree, pack, unpack};
use vtbuild_providers::host::protocol::DepsBuild;

use super::{DepsUse, OUTPUT};

/// The time that sources get which are handed to a test, in seconds since 1970: long ago.
const SOURCE_TIME: u64 = 946_684_800;

/// Unpacks what was built for the test of `job` below `scratch`. Where it asks for the sources too, they lie beside it and are
/// older: `make` finds nothing to do there. The error completes "failed to".
pub(crate) fn unpacked(job: &Job, scratch: &Utf8Path, builds: &[DepsUse]) -> Result<Vec<DepsBuild>, String> {
    builds.iter().map(|build| one(job, scratch, build)).collect()
}

fn one(job: &Job, scratch: &Utf8Path, build: &DepsUse) -> Result<DepsBuild, String> {
    let older = SystemTime::UNIX_EPOCH + Duration::from_secs(SOURCE_TIME);
    let newer = older + Duration::from_secs(60);
    let folder = scratch.join("deps").join(&build.app);
    if build.with_source {
        let tree = SourceTree::scan(&build.source).map_err(|error| error.to_string())?;
        let copy = scratch.join(format!("deps-{}.tar", build.app));
        pack(&tree, &copy).map_err(|error| format!("write {copy}: {error}"))?;
        unpack(&copy, &folder, Some(older)).map_err(|error| error.to_string())?;
    }
    let built = job.artefact(&build.role, OUTPUT);
    let built = built.ok_or_else(|| format!("find what was built of {}", build.app))?;
    unpack(&built.path, &folder, Some(newer)).map_err(|error| error.to_string())?;
    Ok(DepsBuild {
        source: build.source.clone(),
        folder,
        make_flags: build.flags.clone(),
        with_source: build.with_source,
    })
}
