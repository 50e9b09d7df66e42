#![doc = include_str!("../../docs/alerts.md")]

mod builder;
mod deliver;
mod handle;
mod notice;
mod reader;
mod rule;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    builder::AlertsBuilder,
    deliver::{Webhook, WebhookCounts},
    handle::Alerts,
    notice::{Notice, NoticeState},
    rule::{LatencyRule, Rule, Rules},
};
