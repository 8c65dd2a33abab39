//! Standing shells of machines: started before a guest is saved, talked to when it was resumed.

use super::resume::{GREETING_PATIENCE, entropy};
use super::{Desk, settings};
use crate::machine::{Machine, STANDING_ADDRESS, STANDING_PORT};
use crate::session::standing::{self, Standing};
use crate::session::{Shell, ShellSetup};

impl Desk {
    /// Starts a standing shell in the guest that `way_in` leads to, and proves it good. To be kept until the guest is saved: it
    /// ends when the shell is dropped. The error is a reason why there is none.
    pub(super) async fn stand(
        &self,
        vm: &str,
        machine: &Machine,
        way_in: &mut Shell,
    ) -> Result<Shell, String> {
        let (mut standing, setup) = self.standing(vm, machine).await?;
        // The space keeps it out of the history.
        let command = format!(" {}", standing::command(STANDING_ADDRESS, STANDING_PORT));
        let started = way_in.cmd_status_output(&command, GREETING_PATIENCE).await;
        let (status, said) = started.map_err(|error| error.to_string())?;
        if status != 0 {
            return Err(format!("its program ended with {status}: {}", said.trim()));
        }
        let mut shell = Shell::new(standing.terminal().clone(), setup);
        let prompt = shell.start(GREETING_PATIENCE).await;
        prompt.map_err(|error| error.to_string())?;
        standing.greet(&entropy()?, GREETING_PATIENCE).await?;
        let empty = shell.cmd_output(":", GREETING_PATIENCE).await;
        empty.map_err(|error| error.to_string())?;
        Ok(shell)
    }

    /// Has the standing shell of a resumed machine set the guest's clock and take entropy; gives the shell, which has `prompt`.
    pub(super) async fn greet_standing(&self, vm: &str, prompt: &str) -> Result<Shell, String> {
        let machine = self.machine(vm).ok_or("the machine is gone")?;
        let (mut standing, setup) = self.standing(vm, &machine).await?;
        standing.greet(&entropy()?, GREETING_PATIENCE).await?;
        Ok(Shell::resumed(standing.terminal().clone(), setup, prompt))
    }

    /// The other end of the connection that a standing shell makes or has made, and how such a shell is spoken to.
    async fn standing(&self, vm: &str, machine: &Machine) -> Result<(Standing, ShellSetup), String> {
        let socket = machine.standing_socket().ok_or("its network is one of its own")?;
        let params = self.seat(vm).map_err(|error| error.to_string())?.params;
        let setup = settings::shell(&params, None).map_err(|error| error.to_string())?;
        let (name, log) = self.session_log(vm);
        let standing = standing::connect(&socket, name, log).await;
        let standing = standing.map_err(|error| format!("connect to {socket}: {error}"))?;
        Ok((standing, setup))
    }
}
