//! `vtbuild shell`: the machines of one test, prepared as the test would find them, with somebody at the keyboard.

mod input;
mod monitor;
mod prompt;

use std::io::IsTerminal;
use std::sync::Arc;

use vtbuild_engine::variant::Variant;

use self::prompt::{Place, Prompt};
use super::visit;
use crate::analysis::{Analysis, NARROW};
use crate::cli::ShellArgs;
use crate::exit::{Exit, Failure};

/// How many of too many variants are named.
const NAMED: usize = 10;

/// Starts the machines of the test and lets somebody in.
pub fn shell(args: &ShellArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let variant = the_one(analysis.variants(Some(NAMED + 1))?)?;
    let vms = visit::words(&variant, "vms");
    let first = match &args.vm {
        Some(vm) if !vms.contains(vm) => {
            let message = format!("the test has no machine {vm} (vms = {})", vms.join(" "));
            return Err(Failure::new(Exit::Usage, message));
        }
        _ if vms.is_empty() => {
            let message = format!("{} has no machine: its `vms` is empty", variant.test_id);
            return Err(Failure::new(Exit::Usage, message));
        }
        vm => vm.clone(),
    };
    let place = match (args.qmp, args.serial) {
        (true, _) => Place::Monitor,
        (_, true) => Place::Serial,
        _ => Place::Ssh,
    };
    let terminal = std::io::stdin().is_terminal();
    let prompt = Arc::new(Prompt::new(place, first, terminal));
    let stopped = visit::visit(
        &analysis.workspace,
        variant,
        args.accel,
        args.states.policy(),
        prompt.clone(),
    )?;
    Ok(match stopped {
        Some(exit) => exit,
        None if prompt.failed() => Exit::Failed,
        None => Exit::Good,
    })
}

fn the_one(mut variants: Vec<Variant>) -> Result<Variant, Failure> {
    if variants.len() == 1 {
        return Ok(variants.remove(0));
    }
    let names = variants
        .iter()
        .take(NAMED)
        .map(|variant| format!("\n  {}", variant.test_id));
    let names: String = names.collect();
    let more = if variants.len() > NAMED { "\n  …" } else { "" };
    let message = format!("a shell is for one test, and the target selects more:{names}{more}\n{NARROW}");
    Err(Failure::new(Exit::Usage, message))
}
