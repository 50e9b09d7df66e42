use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use super::{Acting, Control, ControlError, Parameters};

/// All that can be steered, by kind and name. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Controls(Arc<ArcSwap<Kinds>>);

type Kinds = BTreeMap<&'static str, Names>;
type Names = BTreeMap<Box<str>, Arc<dyn Control>>;

impl Controls {
    /// Adds `control`, in place of one of the same kind and name.
    pub fn add(&self, name: &str, control: impl Control + 'static) {
        let control: Arc<dyn Control> = Arc::new(control);
        self.0.rcu(|kinds| {
            let mut kinds = Kinds::clone(kinds);
            let names = kinds.entry(control.kind()).or_default();
            names.insert(name.into(), Arc::clone(&control));
            kinds
        });
    }

    /// Has what `other` has from now on, and nothing else: as when a configuration replaces another.
    pub fn replace(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// The one of this kind and name.
    pub fn get(&self, kind: &str, name: &str) -> Option<Arc<dyn Control>> {
        self.0.load().get(kind)?.get(name).cloned()
    }

    /// The names of this kind.
    pub fn names(&self, kind: &str) -> Vec<Box<str>> {
        let kinds = self.0.load();
        let names = kinds.get(kind).into_iter().flat_map(BTreeMap::keys);
        names.cloned().collect()
    }

    /// How all of them stand, by kind and name.
    pub fn show(&self) -> Value {
        let kinds = self.0.load();
        let shown = kinds
            .iter()
            .map(|(kind, names)| ((*kind).to_owned(), show(names)));
        Value::Object(shown.collect())
    }

    /// How those of one kind stand, by name; `None` where there are none.
    pub fn show_kind(&self, kind: &str) -> Option<Value> {
        self.0.load().get(kind).map(show)
    }

    /// What can be done with each, by kind.
    pub fn actions(&self) -> Value {
        let kinds = self.0.load();
        let actions = kinds.iter().filter_map(|(kind, names)| {
            let first = names.values().next()?;
            Some(((*kind).to_owned(), first.actions().into()))
        });
        Value::Object(actions.collect())
    }

    /// Does `action` with the one of this kind and name.
    ///
    /// # Errors
    ///
    /// When there is none; and what it says itself.
    pub async fn act(
        &self,
        (kind, name): (&str, &str),
        action: &str,
        with: Parameters,
    ) -> Result<super::Change, ControlError> {
        let Some(control) = self.get(kind, name) else {
            return Err(self.unknown(kind, name));
        };
        if !control.actions().contains(&action) {
            return Err(ControlError::unknown_action(action, control.actions()));
        }
        let acting: Acting<'_> = control.act(action, with);
        acting.await
    }

    /// Why there is none of this kind and name.
    pub fn unknown(&self, kind: &str, name: &str) -> ControlError {
        let kinds = self.0.load();
        let unknown = if let Some(names) = kinds.get(kind) {
            let known: Vec<_> = names.keys().map(|name| &**name).collect();
            format!("{name:?} among the {kind}, but {}", known.join(", "))
        } else {
            let known: Vec<_> = kinds.keys().copied().collect();
            format!("kind {kind:?}, but {}", known.join(", "))
        };
        ControlError::Unknown(unknown)
    }
}

fn show(names: &Names) -> Value {
    let shown = names
        .iter()
        .map(|(name, control)| (name.to_string(), control.show()));
    Value::Object(shown.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::{
        super::{Change, acted},
        *,
    };

    #[derive(Debug)]
    struct Lamp(Mutex<bool>);

    impl Control for Lamp {
        fn kind(&self) -> &'static str {
            "lamps"
        }

        fn show(&self) -> Value {
            json!({"lit": *self.0.lock().unwrap()})
        }

        fn actions(&self) -> &'static [&'static str] {
            &["light"]
        }

        fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
            acted(with.none().map(|()| {
                let old = std::mem::replace(&mut *self.0.lock().unwrap(), true);
                Change::new(old, true)
            }))
        }
    }

    #[tokio::test]
    async fn things_are_shown_and_steered_by_kind_and_name() {
        let controls = Controls::default();
        controls.add("hall", Lamp(Mutex::new(false)));
        assert_eq!(controls.show(), json!({"lamps": {"hall": {"lit": false}}}));
        let act = |name, action| controls.act(name, action, Parameters::default());
        let change = act(("lamps", "hall"), "light").await;
        assert_eq!(change, Ok(Change::new(false, true)));
        assert_eq!(
            controls.show_kind("lamps"),
            Some(json!({"hall": {"lit": true}}))
        );
        for (name, action, reason) in [
            (
                ("lamps", "attic"),
                "light",
                "there is no \"attic\" among the lamps, but hall",
            ),
            (
                ("doors", "hall"),
                "open",
                "there is no kind \"doors\", but lamps",
            ),
            (
                ("lamps", "hall"),
                "break",
                "there is no action \"break\", but light",
            ),
        ] {
            assert_eq!(act(name, action).await.unwrap_err().to_string(), reason);
        }
        controls.replace(&Controls::default());
        assert_eq!(controls.show(), json!({}));
    }
}
