//! The build: a fresh copy of the mirror, `make`, and what it produced.

use std::fs::{self, File};
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};

use super::listing::{LIST, Listing};
use super::mirror::{MIRROR_LIST, Mirrored, mirror};
use super::tree::{Kind, SourceTree, TreeError};
use super::{BuildError, Runner, pack, toolchain};
use crate::session::ssh::exec::{Input, Target};
use crate::session::transfer::glob;

/// Statuses of the script's own, and what its last words begin with.
const COPY_DIFFERS: i32 = 75;
const MAKE_FAILED: i32 = 76;
const NO_MAKE: i32 = 77;
const LAST_WORD: &str = "vtbuild:";
/// How often a build is begun anew because another one had the mirror changed under it.
const TRIES: usize = 3;
/// How many lines of a failed build are quoted.
const QUOTED: usize = 12;

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Order {
    /// The sources.
    pub tree: SourceTree,
    /// Words for `make`: targets and variables.
    pub flags: Vec<String>,
    /// Patterns for the files that are wanted, products and sources alike; everything that `make` produced where empty. One
    /// without a slash fits names in every folder.
    pub output: Vec<String>,
    /// The name of the folder over there: letters and digits. The same for the same thing, so that what has not changed
    /// need not travel.
    pub id: String,
    /// What the target is called in messages.
    pub place: String,
    /// An empty folder on this host.
    pub scratch: Utf8PathBuf,
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The archive with the products: the same products are the same bytes.
    pub archive: Utf8PathBuf,
    /// The paths in it.
    pub products: Vec<String>,
    /// What travelled.
    pub mirrored: Mirrored,
    /// What built it.
    pub toolchain: String,
}

/// Builds `order` on `target`. `line` is given each line that `make` prints.
///
/// # Errors
/// See [`BuildError`].
pub fn build(target: &dyn Target, order: &Order, line: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    let runner = Runner {
        target,
        place: &order.place,
    };
    let toolchain = toolchain(target, &order.place)?;
    let wanted = Listing::of(&order.tree)?;
    let base = runner.text(
        "look at",
        "printf %s \"${XDG_CACHE_HOME:-$HOME/.cache}/vtbuild/deps\"",
    )?;
    let folder = format!("{base}/{}", order.id);
    let mut mirrored = Mirrored::default();
    for attempt in 1..=TRIES {
        let synced = mirror(&runner, &order.tree, &wanted, &format!("{folder}/files"))?;
        mirrored.sent += synced.sent;
        mirrored.bytes += synced.bytes;
        mirrored.removed += synced.removed;
        mirrored.unchanged = synced.unchanged;
        if let Some(out) = make(&runner, order, &wanted, &folder, line, attempt == TRIES)? {
            let archive = fetch(&runner, &format!("{folder}/{out}"), order)?;
            let (archive, products) = chosen(order, &archive)?;
            return Ok(Built {
                archive,
                products,
                mirrored,
                toolchain,
            });
        }
    }
    unreachable!("the last try says what is wrong")
}

/// Runs `make` in a fresh copy; gives the name of the archive over there, or nothing where the copy was not what it should be.
fn make(
    runner: &Runner<'_>,
    order: &Order,
    wanted: &Listing,
    folder: &str,
    line: &mut dyn FnMut(&str),
    last: bool,
) -> Result<Option<String>, BuildError> {
    const WHAT: &str = "run make on";
    let script = script(folder, &order.flags);
    let expected = format!("{}end\n", wanted.text(false));
    let mut output = Lines::new(line);
    let mut write = |to: &mut dyn Write| to.write_all(expected.as_bytes());
    // Held: should this connection be lost, the script reads the end and takes `make` with it.
    let ended = runner.run(WHAT, &script, Input::Held(&mut write), &mut output)?;
    output.finish();
    let place = || order.place.clone();
    match ended.status {
        0 => Ok(Some(output.last_word.unwrap_or_default())),
        COPY_DIFFERS if !last => Ok(None),
        COPY_DIFFERS => Err(BuildError::Refused {
            what: WHAT,
            place: place(),
            status: COPY_DIFFERS,
            said: "its copy of the sources does not stay what it should be".to_owned(),
        }),
        NO_MAKE => Err(BuildError::NoMake { place: place() }),
        MAKE_FAILED => Err(BuildError::Make {
            place: place(),
            status: output.last_word.and_then(|word| word.parse().ok()).unwrap_or(2),
            said: telling(&output.seen),
        }),
        _ => Err(runner.good(WHAT, &ended).expect_err("a status that is not 0")),
    }
}

fn script(folder: &str, flags: &[String]) -> String {
    let folder = shell_words::quote(folder);
    let flags = shell_words::join(flags);
    format!(
        r#"umask 022
LC_ALL=C SOURCE_DATE_EPOCH=946684800; export LC_ALL SOURCE_DATE_EPOCH; unset MAKEFLAGS MAKELEVEL MFLAGS
exec 3<&0 </dev/null
cd -- {folder} || exit 1
command -v make >/dev/null || exit {NO_MAKE}
exec 9>lock
if command -v flock >/dev/null; then flock 9; fi
find . -name 'out.*' -mmin +60 -exec rm -f {{}} + 2>/dev/null
rm -rf build && cp -RPp files build && rm -f build/{MIRROR_LIST} || exit 1
while IFS= read -r line <&3 && [ "$line" != end ]; do printf '%s\n' "$line"; done >expected
{LIST}(cd build && list) | sort >before
cmp -s expected before || exit {COPY_DIFFERS}
group=; if command -v setsid >/dev/null; then group=setsid; fi
$group make -C build {flags} 2>&1 3<&- 9>&- &
pid=$!
{{ cat <&3; kill -TERM -- "-$pid" || kill -TERM "$pid"; }} >/dev/null 2>&1 9>&- &
dog=$!
wait "$pid"; status=$?
kill "$dog" 2>/dev/null
if [ "$status" != 0 ]; then echo; echo "{LAST_WORD}$status"; exit {MAKE_FAILED}; fi
(cd build && list) | sort >after
comm -13 before after >new
{{ sed -n 's,^[fx] [0-9a-f]*  \./,./,p' new; grep '^l ' new | cut -f2; }} >names
out=$(mktemp out.XXXXXX) || exit 1
tar -cf "$out" -C build -T names || exit 1
rm -rf build
echo; echo "{LAST_WORD}$out"
"#
    )
}

/// Brings the archive here and removes it there.
fn fetch(runner: &Runner<'_>, out: &str, order: &Order) -> Result<Utf8PathBuf, BuildError> {
    const WHAT: &str = "fetch what make produced on";
    let path = order.scratch.join("fetched.tar");
    let host = |source| BuildError::Host {
        path: path.clone(),
        source,
    };
    let mut file = File::create(&path).map_err(host)?;
    let out = shell_words::quote(out);
    let script = format!("cat -- {out} && rm -f -- {out}");
    let ended = runner.run(WHAT, &script, Input::Empty, &mut file)?;
    runner.good(WHAT, &ended)?;
    Ok(path)
}

/// From all that was fetched, and the sources, what is wanted: packed again, in one order, without times and owners.
fn chosen(order: &Order, fetched: &Utf8Path) -> Result<(Utf8PathBuf, Vec<String>), BuildError> {
    let folder = order.scratch.join("output");
    pack::unpack(fetched, &folder, None)?;
    let produced = names_in(&folder)?;
    if !order.output.is_empty() {
        choose(order, &folder, &produced).map_err(|source| BuildError::Host {
            path: folder.clone(),
            source,
        })?;
    }
    let products = names_in(&folder)?;
    if products.is_empty() && order.output.is_empty() {
        return Err(BuildError::Nothing {
            place: order.place.clone(),
        });
    }
    if products.is_empty() {
        let produced = if produced.is_empty() {
            "nothing".to_owned()
        } else {
            produced.join(", ")
        };
        return Err(BuildError::NoOutput {
            wanted: order.output.join(" "),
            produced,
        });
    }
    let archive = order.scratch.join("output.tar");
    let packed = pack::pack(&SourceTree::scan(&folder)?, &archive);
    // Large trees need their room only once.
    let done = packed
        .and_then(|()| fs::remove_dir_all(&folder))
        .and_then(|()| fs::remove_file(fetched));
    match done {
        Ok(()) => Ok((archive, products)),
        Err(source) => Err(BuildError::Host {
            path: archive,
            source,
        }),
    }
}

/// Files and links below a folder; none where there is not one file.
fn names_in(folder: &Utf8Path) -> Result<Vec<String>, TreeError> {
    match SourceTree::scan(folder) {
        Err(TreeError::Empty(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(tree) => {
            let entries = tree
                .entries
                .into_iter()
                .filter(|entry| entry.kind != Kind::Folder);
            Ok(entries.map(|entry| entry.path).collect())
        }
    }
}

/// Leaves in `folder` what the patterns ask for, and adds what they ask for of the sources.
fn choose(order: &Order, folder: &Utf8Path, produced: &[String]) -> io::Result<()> {
    let fits = |path: &str| order.output.iter().any(|pattern| wants(pattern, path));
    for path in produced.iter().filter(|path| !fits(path)) {
        fs::remove_file(folder.join(path))?;
    }
    for entry in order.tree.entries.iter().filter(|entry| fits(&entry.path)) {
        let (from, to) = (order.tree.root.join(&entry.path), folder.join(&entry.path));
        if produced.contains(&entry.path) || entry.kind == Kind::Folder {
            continue;
        }
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        match &entry.kind {
            Kind::Link(target) => std::os::unix::fs::symlink(target, to)?,
            Kind::File { .. } | Kind::Folder => fs::copy(from, to).map(drop)?,
        }
    }
    Ok(())
}

/// Whether a pattern means a path: by its whole, or, where the pattern names no folder, by its last part.
fn wants(pattern: &str, path: &str) -> bool {
    let name = if pattern.contains('/') {
        path
    } else {
        path.rsplit('/').next().unwrap_or(path)
    };
    glob::fits(pattern, name)
}

/// The lines of a failed build that say why: the compiler's errors, else the end.
fn telling(lines: &[String]) -> Vec<String> {
    let tells = |line: &&String| {
        [": error:", ": fatal error:", "undefined reference", "*** "]
            .iter()
            .any(|sign| line.contains(sign))
    };
    let found: Vec<String> = lines.iter().filter(tells).take(QUOTED).cloned().collect();
    // Only make's own last words: what it ran said it in another way.
    if found.iter().all(|line| line.contains("*** ")) {
        return lines[lines.len().saturating_sub(QUOTED)..].to_vec();
    }
    found
}

/// Output, line by line; the script's own last word is kept apart.
struct Lines<'a> {
    line: &'a mut dyn FnMut(&str),
    rest: Vec<u8>,
    seen: Vec<String>,
    last_word: Option<String>,
}

impl<'a> Lines<'a> {
    /// How much of a long build is kept for saying why it failed.
    const KEPT: usize = 20_000;

    fn new(line: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            line,
            rest: Vec::new(),
            seen: Vec::new(),
            last_word: None,
        }
    }

    fn one(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if let Some(word) = text.strip_prefix(LAST_WORD) {
            self.last_word = Some(word.to_owned());
        } else if !text.is_empty() {
            (self.line)(text);
            if self.seen.len() < Self::KEPT {
                self.seen.push(text.to_owned());
            }
        }
    }

    fn finish(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.one(&rest);
    }
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.one(&line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
