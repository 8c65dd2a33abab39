//! A small test provider in a sandbox's workspace, for runs that need no machine.

use super::Sandbox;

/// The provider's folder in the workspace.
pub(crate) const FOLDER: &str = "mine";

/// A test that waits as long as it is told, and ends as it is told.
pub(crate) const PLAIN: &str = "import time\n\n\ndef run(test, params, env):\n    time.sleep(float(params.get('naps', 0)))\n    if params.get('outcome', 'pass') == 'fail':\n        test.fail('as asked')\n";

/// The lines that keep machines and images away from a test.
pub(crate) const BARE: &str = "    vms = \"\"\n    images = \"\"\n    start_vm = no\n";

impl Sandbox {
    /// Adds the provider `mine`, whose tests are the variants of `cfg`: a block that begins in the first column with
    /// `- NAME:`. The bundled tests are not there.
    pub(crate) fn provide(&self, cfg: &str) {
        self.write("vtbuild.toml", "bundled-tests = false\n");
        let uri = self.path(FOLDER);
        self.write(
            "test-providers.d/mine.ini",
            &format!("[provider]\nuri: file://{uri}\n[generic]\nsubdir: generic/\n[qemu]\nsubdir: qemu/\n"),
        );
        self.write("mine/generic/tests/cfg/all.cfg", cfg);
        self.write("mine/generic/tests/plain.py", PLAIN);
        std::fs::create_dir_all(self.path("mine/qemu/tests/cfg")).unwrap();
    }
}
