//! Which budgets a request is charged to.

use super::Tags;

/// The account of each budget that a request is charged to, by the budget's name. Stands in the request's extensions; it goes into
/// the ledger, so that what was spent can be told after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts(pub Tags);
