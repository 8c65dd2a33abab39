//! What filters ask for, as dense numbers.

use rustc_hash::FxHashMap;

use crate::symbols::Sym;

/// Something a filter can ask for: a variant's name, or a name in the block of a certain variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Atom(pub(crate) u32);

impl Atom {
    pub(crate) const NONE: Atom = Atom(u32::MAX);
}

/// All atoms of a program.
#[derive(Clone, Default, Debug)]
pub(crate) struct Atoms {
    /// The atoms of the first symbols, as they were stored.
    stored: &'static [u32],
    /// The atoms of the symbols after those.
    plain: Vec<Atom>,
    /// All others: those of named blocks, and under `ANY` those of stored symbols that had none.
    named: FxHashMap<(Sym, Sym), Atom>,
    info: Vec<(Option<Sym>, Sym)>,
}

impl Atoms {
    const ANY: Sym = Sym(u32::MAX);

    /// Atoms by number, and the atom of each symbol as [`Atoms::by_symbol`] tells it.
    pub(crate) fn from_stored(info: Vec<(Option<Sym>, Sym)>, by_symbol: &'static [u32]) -> Self {
        let numbered = info.iter().zip(0..);
        let named =
            numbered.filter_map(|(&(variable, value), number)| Some(((variable?, value), Atom(number))));
        Atoms {
            stored: by_symbol,
            plain: Vec::new(),
            named: named.collect(),
            info,
        }
    }

    /// The number of each symbol's plain atom, or `u32::MAX`.
    pub(crate) fn by_symbol(&self, symbols: usize) -> Vec<u32> {
        let mut numbers = vec![u32::MAX; symbols];
        for (number, (variable, value)) in (0..).zip(&self.info) {
            if variable.is_none() {
                numbers[value.index()] = number;
            }
        }
        numbers
    }

    /// Every atom's variable and value.
    pub(crate) fn all(&self) -> &[(Option<Sym>, Sym)] {
        &self.info
    }

    pub(crate) fn len(&self) -> usize {
        self.info.len()
    }

    pub(crate) fn intern(&mut self, variable: Option<Sym>, value: Sym) -> Atom {
        let fresh = Atom(self.info.len() as u32);
        let slot = match (variable, value.index().checked_sub(self.stored.len())) {
            (Some(variable), _) => self.named.entry((variable, value)).or_insert(fresh),
            (None, None) => match Atom(self.stored[value.index()]) {
                Atom::NONE => self.named.entry((Atoms::ANY, value)).or_insert(fresh),
                known => return known,
            },
            (None, Some(at)) => {
                if self.plain.len() <= at {
                    self.plain.resize(at + 1, Atom::NONE);
                }
                let slot = &mut self.plain[at];
                if *slot == Atom::NONE {
                    *slot = fresh;
                }
                slot
            }
        };
        if *slot == fresh {
            self.info.push((variable, value));
        }
        *slot
    }

    /// The variable and the value of an atom.
    pub(crate) fn info(&self, atom: Atom) -> (Option<Sym>, Sym) {
        self.info[atom.0 as usize]
    }
}
