//! Making a folder of a target the same as one of this host, by sending what differs and nothing else.
//!
//! What is there is told by checksums, not by times, so that a file which was spoilt over there is sent again. What we did
//! not put there (products of a build) stays. What we put there and is gone here is removed: a file of our own, beside the
//! others, says what that is.

use std::collections::BTreeSet;
use std::io::Write;

use super::listing::{Item, LIST, Listing};
use super::tree::SourceTree;
use super::{BuildError, Runner, pack};

/// In a mirrored folder: the listing of what we put there.
pub const MIRROR_LIST: &str = ".vtbuild-mirror";

/// What mirroring did.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Mirrored {
    /// Files, links and folders that were sent.
    pub sent: usize,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// Things that were removed.
    pub removed: usize,
    /// Files, links and folders that were right already.
    pub unchanged: usize,
}

/// Makes `folder` of the target hold what `tree` holds.
///
/// # Errors
/// When the sources cannot be read, or the target does not do as it is told.
pub(super) fn mirror(
    target: &Runner<'_>,
    tree: &SourceTree,
    wanted: &Listing,
    folder: &str,
) -> Result<Mirrored, BuildError> {
    let quoted = shell_words::quote(folder);
    let found = target.text(
        "look at",
        &format!(
            "umask 022; mkdir -p -- {quoted} && cd -- {quoted} || exit 1\n{LIST}list 2>/dev/null\n\
             find . -type d ! -name . | sed 's/^/d \t/'\necho known\ncat {MIRROR_LIST} 2>/dev/null || :"
        ),
    )?;
    let (there, known) = found.split_once("\nknown\n").map_or_else(
        || {
            (
                Listing::default(),
                Listing::parse(found.trim_start_matches("known\n")),
            )
        },
        |(there, known)| (Listing::parse(there), Listing::parse(known)),
    );
    let steps = Steps::between(wanted, &there, &known);
    if steps.send.is_empty() && steps.remove.is_empty() && known == *wanted {
        return Ok(steps.done(0));
    }
    if !steps.remove.is_empty() {
        let list = steps.remove.concat();
        let script = format!(
            "cd -- {quoted} || exit 1\nwhile IFS= read -r line; do case $line in\n\
             'd '*) rmdir -- \"./${{line#d }}\" 2>/dev/null || : ;;\n'r '*) rm -rf -- \"./${{line#r }}\" || exit 1 ;;\nesac; done"
        );
        target.feed("remove old files from", &script, &mut |to| {
            to.write_all(list.as_bytes())
        })?;
    }
    let bytes = send(target, tree, wanted, &known, &steps, &quoted)?;
    Ok(steps.done(bytes))
}

fn send(
    target: &Runner<'_>,
    tree: &SourceTree,
    wanted: &Listing,
    known: &Listing,
    steps: &Steps,
    quoted: &str,
) -> Result<u64, BuildError> {
    // Until all of it is there, what is to be removed one day is all that may be there.
    let mut either = known.clone();
    either.0.extend(wanted.0.clone());
    let mut bytes = 0;
    let mut write = |to: &mut dyn Write| {
        let mut archive = tar::Builder::new(to);
        pack::text(&mut archive, MIRROR_LIST, &either.text(true))?;
        for entry in tree
            .entries
            .iter()
            .filter(|entry| steps.send.contains(&entry.path))
        {
            bytes += pack::entry(&mut archive, &tree.root, entry)?;
        }
        pack::text(&mut archive, MIRROR_LIST, &wanted.text(true))?;
        archive.into_inner()?.flush()
    };
    // Times are those of their arrival, by the target's clock: newer than what an earlier build made there.
    target.feed(
        "send files to",
        &format!("umask 022; cd -- {quoted} && exec tar -xmof -"),
        &mut write,
    )?;
    Ok(bytes)
}

/// What has to be done.
struct Steps {
    send: BTreeSet<String>,
    /// `r PATH`: with all that is below it; `d PATH`: a folder, unless somebody else has something in it.
    remove: Vec<String>,
    unchanged: usize,
}

impl Steps {
    fn between(wanted: &Listing, there: &Listing, known: &Listing) -> Self {
        let kind = |item: &Item| std::mem::discriminant(item);
        let mut remove = Vec::new();
        for (path, item) in &there.0 {
            match wanted.0.get(path) {
                Some(want) if kind(want) == kind(item) => {}
                Some(_) => remove.push(format!("r {path}\n")),
                None if !known.0.contains_key(path) => {}
                None if *item == Item::Folder => remove.push(format!("d {path}\n")),
                None => remove.push(format!("r {path}\n")),
            }
        }
        // What is in a folder goes before the folder.
        remove.reverse();
        let differs = |(path, item): &(&String, &Item)| there.0.get(*path) != Some(*item);
        let send: BTreeSet<String> = wanted
            .0
            .iter()
            .filter(differs)
            .map(|(path, _)| path.clone())
            .collect();
        Self {
            unchanged: wanted.0.len() - send.len(),
            send,
            remove,
        }
    }

    fn done(&self, bytes: u64) -> Mirrored {
        Mirrored {
            sent: self.send.len(),
            bytes,
            removed: self.remove.len(),
            unchanged: self.unchanged,
        }
    }
}
