use std::{fmt, sync::Arc};

use super::Key;

type Holds = Arc<dyn Fn(&Key) -> bool + Send + Sync>;

/// Whom a limit can hold for. Everyone, unless it is said.
#[derive(Clone, Default)]
pub(crate) struct Holders(Option<Holds>);

impl Holders {
    /// Those alone of whom `holds` says so: nobody else is counted.
    #[cfg(feature = "gateway")]
    pub(crate) fn only(holds: impl Fn(&Key) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(holds)))
    }

    pub(crate) fn are_everyone(&self) -> bool {
        self.0.is_none()
    }

    /// Why a change for `key`, or without one for all, would hold for nobody.
    pub(crate) fn check(&self, key: Option<&Key>) -> Result<(), String> {
        match (&self.0, key) {
            (None, _) => Ok(()),
            (Some(_), None) => {
                Err("`key`: is needed, as nothing is for all here: say whose it is".to_owned())
            }
            (Some(holds), Some(key)) if holds(key) => Ok(()),
            (Some(_), Some(key)) => Err(format!(
                "`key`: {key} is not counted here, as the configuration has no such limit for it"
            )),
        }
    }
}

impl fmt::Debug for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.are_everyone() {
            "Everyone"
        } else {
            "Some"
        })
    }
}
