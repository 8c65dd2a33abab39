//! `kernel_extra_params_add` and `kernel_extra_params_remove`: the guest's kernel is started with other parameters.
//!
//! Where the kernel is started directly (`kernel`), they are changed on its command line, and nothing has to be undone. A
//! guest with a boot loader would have to be edited and booted twice; that is not done.

use vtbuild_engine::outcome::Status;
use vtbuild_providers::params::Params;

use super::Problem;

const ADD: &str = "kernel_extra_params_add";
const REMOVE: &str = "kernel_extra_params_remove";
const LINE: &str = "kernel_params";

/// A machine's parameters with the kernel's command line as the test wants it.
pub(crate) fn adjusted(vm: &str, mut view: Params) -> Result<Params, Problem> {
    let words = |key: &str| -> Vec<String> {
        let value = view.text(key).unwrap_or_default().trim_matches('"');
        value.split_whitespace().map(str::to_owned).collect()
    };
    let (add, remove) = (words(ADD), words(REMOVE));
    if add.is_empty() && remove.is_empty() {
        return Ok(view);
    }
    if view.text("kernel").is_none() {
        let reason = format!(
            "{ADD} and {REMOVE} need a kernel that is started directly, and {vm} has a boot loader (set `kernel`, as JeOS.12 does)"
        );
        return Err((Status::Cancel, reason));
    }
    let mut line = words(LINE);
    // A parameter without a value stands for it with any value, as for the tools that edit boot loaders.
    let removed = |word: &String| {
        remove
            .iter()
            .any(|it| word == it || word.strip_prefix(it).is_some_and(|rest| rest.starts_with('=')))
    };
    line.retain(|word| !removed(word));
    for word in add {
        line.retain(|known| *known != word);
        line.push(word);
    }
    view.set(LINE, line.join(" "));
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pairs: &[(&str, &str)]) -> Result<String, Problem> {
        let mut params: Params = [(LINE, "\"root=/dev/vda quiet console=tty0 console=ttyS0,115200\"")]
            .into_iter()
            .collect();
        pairs.iter().for_each(|(key, value)| params.set(*key, *value));
        adjusted("vm1", params).map(|view| view.get(LINE).unwrap_or_default().to_owned())
    }

    #[test]
    fn words_are_taken_away_and_added() {
        let kernel = ("kernel", "images/vmlinuz");
        assert_eq!(
            line(&[kernel, (ADD, "debug loglevel=7"), (REMOVE, "quiet console")]).as_deref(),
            Ok("root=/dev/vda debug loglevel=7")
        );
        assert_eq!(
            line(&[kernel, (REMOVE, "console=tty0"), (ADD, "quiet")]).as_deref(),
            Ok("root=/dev/vda console=ttyS0,115200 quiet")
        );
        assert!(
            line(&[]).unwrap().starts_with('"'),
            "nothing is touched where nothing is asked for"
        );
    }

    #[test]
    fn a_boot_loader_is_not_edited() {
        let (status, reason) = line(&[(ADD, "debug")]).unwrap_err();
        assert_eq!(status, Status::Cancel);
        assert!(reason.contains("vm1"), "{reason}");
    }
}
