//! What a type reads, found out by letting it read.
//!
//! A deserializer that has no input notes what it is asked for and makes something up. Where a type does not take that, the
//! next attempt makes up something else, until all is seen. What is asked for in no particular form (`deserialize_any`) is noted as that, with
//! what the type says that it expects.

mod access;
mod probe;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
};

use serde::Deserialize;

use self::probe::Probe;

/// The name of each item of a list and each value of a map.
pub(super) const EACH: &str = "*";

/// More attempts than any type takes.
const MAX_ATTEMPTS: usize = 50_000;

/// What a type asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Any,
    Bool,
    Natural,
    Integer,
    Number,
    Text,
    List,
    Map,
    Table(&'static [&'static str]),
    OneOf(&'static [&'static str]),
    /// A variant that is its name alone.
    Word,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// What the type says that it expects there.
    pub(super) expected: String,
}

/// What was seen, by path.
#[derive(Debug)]
pub(super) struct Traced(BTreeMap<String, Node>);

impl Traced {
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}/{name}")
    }
}

/// What `T` reads.
pub(super) fn trace<'de, T: Deserialize<'de>>() -> Traced {
    let tracer = Tracer::default();
    for _ in 0..MAX_ATTEMPTS {
        tracer.begin();
        let goes_on = match T::deserialize(Probe::new(&tracer, String::new())) {
            Ok(_) => tracer.next_variants(),
            Err(error) => tracer.avoid(&error.to_string()),
        };
        if !goes_on {
            break;
        }
    }
    Traced(tracer.0.into_inner().nodes)
}

#[derive(Default)]
struct Tracer(RefCell<State>);

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    /// Which of the things that can be made up is made up, by path.
    choices: HashMap<String, usize>,
    /// Which variant is tried, by path.
    variants: HashMap<String, (usize, usize)>,
    /// What no value was found for.
    skipped: HashSet<String>,
    /// The value that was made up last, and of how many.
    last: (String, usize),
    /// The field that was named last.
    field: String,
    /// What was not taken first: the innermost.
    blamed: Option<Blamed>,
}

enum Blamed {
    Table(String),
    /// The value that was made up last, whose type looks at it before it reads it.
    Value,
}

impl Tracer {
    /// What was made up for this was not taken.
    fn blame(&self, blamed: Blamed) {
        self.0.borrow_mut().blamed.get_or_insert(blamed);
    }

    fn begin(&self) {
        let mut state = self.0.borrow_mut();
        state.blamed = None;
        state.last = (String::new(), 0);
    }

    fn note(&self, path: &str, shape: Shape, expected: String) {
        let mut state = self.0.borrow_mut();
        let node = Node { shape, expected };
        state.nodes.entry(path.to_owned()).or_insert(node);
    }

    /// Which of `count` things to make up at `path`.
    fn choose(&self, path: &str, count: usize) -> usize {
        let mut state = self.0.borrow_mut();
        state.last = (path.to_owned(), count);
        state.choices.get(path).copied().unwrap_or(0)
    }

    fn is_skipped(&self, path: &str) -> bool {
        self.0.borrow().skipped.contains(path)
    }

    /// The next variant everywhere; whether there is any.
    fn next_variants(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let mut any = false;
        for (at, count) in state.variants.values_mut() {
            if *at + 1 < *count {
                *at += 1;
                any = true;
            }
        }
        any
    }

    /// Makes up something else where it was not taken; whether there is any hope.
    fn avoid(&self, error: &str) -> bool {
        let mut state = self.0.borrow_mut();
        let table = match state.blamed.take() {
            Some(Blamed::Table(path)) if error.starts_with("missing field") => Some(path),
            _ => None,
        };
        let skip = if table.is_some() {
            table
        } else if error.starts_with("duplicate field") {
            // Another name of a field that was read already.
            let field = state.field.clone();
            state.nodes.remove(&field);
            Some(field)
        } else {
            let (path, count) = state.last.clone();
            let choice = state.choices.entry(path.clone()).or_default();
            *choice += 1;
            (*choice >= count).then_some(path)
        };
        let Some(mut path) = skip else { return true };
        // What cannot be left out itself is left out with what it is in.
        while !path.is_empty() {
            let (outer, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let variants = state.variants.get_mut(outer);
            if let Some((at, count)) = variants.filter(|(_, count)| *count > 1 && name != EACH) {
                if *at + 1 < *count {
                    *at += 1;
                } else {
                    // The others were seen; the first stands for them from here on.
                    (*at, *count) = (0, 1);
                }
                return true;
            }
            let outer = outer.to_owned();
            if state.skipped.insert(path) {
                return true;
            }
            path = outer;
        }
        false
    }
}
