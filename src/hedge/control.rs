use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::HedgeHandle;
use crate::{
    control::{Acting, Change, Control, ControlError, Parameters, acted},
    wire::units,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// With `null` it is what was configured again.
    // It must be there, so that nothing is taken away by a slip.
    #[serde(deserialize_with = "Option::deserialize")]
    delay: Option<Span>,
}

#[derive(Deserialize)]
struct Span(#[serde(deserialize_with = "units::duration")] Duration);

impl HedgeHandle {
    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        if action == "delay" {
            let Wait { delay } = with.read()?;
            let old = seconds(self.fixed_delay());
            self.set_delay(delay.map(|Span(delay)| delay));
            return Ok(Change::new(old, seconds(self.fixed_delay())));
        }
        with.none()?;
        let old = self.is_enabled();
        self.set_enabled(action == "enable");
        Ok(Change::new(old, self.is_enabled()))
    }
}

fn seconds(span: Option<Duration>) -> Value {
    span.map(|span| span.as_secs_f64()).into()
}

impl Control for HedgeHandle {
    fn kind(&self) -> &'static str {
        "hedges"
    }

    fn show(&self) -> Value {
        let counts = self.counts();
        json!({
            "enabled": self.is_enabled(),
            "delay_seconds": seconds(self.fixed_delay()),
            "hedged": counts.hedged,
            "won": counts.won,
            "saved": counts.saved,
            "unpaid": counts.unpaid,
            "busy": counts.busy,
            "nowhere": counts.nowhere,
            "under_way": counts.under_way,
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["enable", "disable", "delay"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(action, with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Target, Upstreams, UpstreamsBuilder},
        hedge::HedgeBuilder,
        message::ResponseBody,
    };

    fn hedge(builder: HedgeBuilder) -> HedgeHandle {
        let answers = tower::service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(http::Response::new(ResponseBody::empty()))
        });
        let targets = ["a", "b"].map(|name| Target::new(name, answers));
        let upstreams = targets
            .into_iter()
            .fold(Upstreams::builder(), UpstreamsBuilder::add);
        let hedge = builder.hedge(&upstreams.build().unwrap()).unwrap();
        hedge.handle()
    }

    fn act(hedge: &HedgeHandle, action: &str, with: &Value) -> Result<Change, ControlError> {
        let with = Parameters::parse(with.to_string().as_bytes())?;
        hedge.change(action, with)
    }

    #[tokio::test]
    async fn it_is_switched_and_its_delay_set_and_given_back() {
        let handle = hedge(HedgeBuilder::default());
        assert_eq!(handle.show()["delay_seconds"], Value::Null);
        let change = act(&handle, "delay", &json!({"delay": "250ms"})).unwrap();
        assert_eq!(change, Change::new(Value::Null, 0.25));
        assert_eq!(handle.delay("any"), Duration::from_millis(250));
        act(&handle, "delay", &json!({"delay": "0s"})).unwrap();
        assert_eq!(handle.delay("any"), Duration::ZERO);
        let change = act(&handle, "delay", &json!({"delay": null})).unwrap();
        assert_eq!(change, Change::new(0.0, Value::Null));
        assert_eq!(handle.delay("any"), Duration::from_secs(30));
        let change = act(&handle, "disable", &json!({})).unwrap();
        assert_eq!(change, Change::new(true, false));
        assert_eq!(handle.show()["enabled"], false);
    }

    #[tokio::test]
    async fn a_delay_that_is_none_changes_nothing() {
        let handle = hedge(HedgeBuilder::default().delay(Duration::from_secs(1)));
        for with in [json!({}), json!({"delay": 1}), json!({"delay": "soon"})] {
            assert!(act(&handle, "delay", &with).is_err(), "{with}");
        }
        assert!(act(&handle, "enable", &json!({"delay": null})).is_err());
        assert_eq!(handle.fixed_delay(), Some(Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn a_delay_that_was_set_goes_on_until_the_settings_say_another() {
        let before = hedge(HedgeBuilder::default());
        before.set_delay(Some(Duration::from_secs(2)));
        let same = hedge(HedgeBuilder::default().continuing(Some(&before)));
        let other = HedgeBuilder::default().percentile(99.0);
        let other = hedge(other.continuing(Some(&before)));
        assert_eq!(same.fixed_delay(), Some(Duration::from_secs(2)));
        assert_eq!(other.fixed_delay(), None);
        assert_eq!(before.fixed_delay(), Some(Duration::from_secs(2)));
    }
}
