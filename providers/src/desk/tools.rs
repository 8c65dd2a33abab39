//! QEMU's own tools, and the files behind images.

use serde_json::{Map, Value, json};

use super::{Desk, settings};
use crate::host::protocol::CallError;
use crate::host::request::ImageRun;
use crate::process::{Command, Exit, OutputError};

impl Desk {
    pub(super) async fn image_run(&self, args: ImageRun) -> Result<Value, CallError> {
        let qemu = &self.setup.launch.qemu;
        let program = match args.program.as_str() {
            "img" => Some(&qemu.img),
            "io" => qemu.io.as_ref(),
            other => {
                let message = format!("run {other}: the programs are `img` and `io`");
                return Err(CallError::new("argument", message));
            }
        };
        let Some(program) = program else {
            return Err(CallError::new("unsupported", "run qemu-io: it is not installed"));
        };
        let command = Command::new(program)
            .args(&args.args)
            .dir(self.setup.log_dir.clone());
        let output = self
            .setup
            .launch
            .launcher
            .output(command, args.timeout.0)
            .await
            .map_err(|error| match error {
                OutputError::Timeout { .. } => CallError::new("timeout", error.to_string()),
                OutputError::Spawn(_) => CallError::new("image", error.to_string()),
            })?;
        let status = match output.exit {
            Exit::Code(code) => code,
            // As a shell reports it.
            Exit::Signal(signal) => 128 + signal,
            Exit::Lost => 137,
        };
        Ok(json!({ "status": status, "stdout": output.stdout, "stderr": output.stderr }))
    }

    pub(super) async fn image_path(&self, params: &Map<String, Value>) -> Result<Value, CallError> {
        let open = self
            .setup
            .images
            .open(None, &settings::params(&self.setup.params, params))
            .await;
        open.map(|open| json!(open.file))
            .map_err(|error| CallError::new("image", error.to_string()))
    }
}
