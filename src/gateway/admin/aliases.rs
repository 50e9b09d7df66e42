use serde_json::Value;

use crate::{
    control::{Acting, Control, Parameters},
    gateway::listing::Listing,
    model_rewrite::ModelRewriteHandle,
};

/// A gateway's aliases: what is changed of them is listed at once.
#[derive(Debug)]
pub(super) struct ListedAliases {
    pub(super) aliases: ModelRewriteHandle,
    pub(super) listing: Listing,
}

impl Control for ListedAliases {
    fn kind(&self) -> &'static str {
        self.aliases.kind()
    }

    fn show(&self) -> Value {
        self.aliases.show()
    }

    fn actions(&self) -> &'static [&'static str] {
        self.aliases.actions()
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        Box::pin(async move {
            let change = self.aliases.act(action, with).await?;
            self.listing.refresh();
            Ok(change)
        })
    }
}
