use std::fmt::{self, Formatter};

use super::{list, write_about};
use crate::gateway::{RouteConfig, config::Way};

pub(super) fn write_route(
    f: &mut Formatter<'_>,
    route: &RouteConfig,
    indent: &str,
    has_store: bool,
) -> fmt::Result {
    write!(f, "{indent}├─ {}", route.name)?;
    if let (None, Some(first)) = (&route.models, route.targets().first()) {
        write!(f, "  for what {first} serves")?;
    }
    write_about(
        f,
        route.label.as_deref(),
        route.models.as_deref(),
        route.endpoints.as_deref(),
    )?;
    match route.way() {
        Ok(Way::Fallback(fallback)) => {
            let targets = route.targets().join(" → ");
            let all = list(std::iter::once(targets).chain(fallback.settings()));
            writeln!(f, "{indent}│  └─ Fallback  {all}")
        }
        Ok(Way::Split(split, rollout)) => {
            let mut indent = format!("{indent}│  ");
            if let Some(rollout) = rollout {
                let shared = if has_store && !rollout.has_file() {
                    ", one of all replicas"
                } else {
                    ""
                };
                writeln!(f, "{indent}└─ Rollout  {}{shared}", rollout.settings())?;
                indent.push_str("   ");
            }
            let all = list(split.settings(rollout.is_some()));
            writeln!(f, "{indent}└─ TrafficSplit  {all}")
        }
        Ok(Way::Balance(balance)) => {
            let targets = route.targets().join(" | ");
            let all = list(std::iter::once(targets).chain(balance.settings()));
            writeln!(f, "{indent}│  └─ Balance  {all}")
        }
        Ok(Way::Hedge(hedge)) => {
            let targets = route.targets().join(" | ");
            let all = list(std::iter::once(targets).chain(hedge.settings()));
            writeln!(f, "{indent}│  └─ Hedge  {all}")
        }
        // It was refused before.
        Err(_) => Ok(()),
    }
}
