//! `suffix`: renames every key present.

use super::Applier;

impl Applier {
    /// Moves every key, in order, to its suffixed identity at the end of the dictionary.
    pub(super) fn suffix(&mut self, suffix: u32) {
        for key in self.dict.keys() {
            // A key that an earlier rename of this very run produced counts under its new value.
            let Some(value) = self.dict.remove(key) else {
                continue;
            };
            let renamed = self.dict.suffixed(key, suffix);
            self.dict.set(renamed, value);
        }
    }
}
