//! The same for a relay that somebody else has: it is asked over the network, and asks the scripted upstream.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Uri;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use tower_relay::message::BoxError;

use super::{
    ask::{Seen, asked},
    check::shown,
    gauge::Gauge,
    run::{Judged, Row},
    scenarios::Scenario,
    script::Script,
    upstream::Upstream,
};

/// A relay of somebody else's.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Where it is.
    pub(crate) relay: Uri,
    /// Where it finds its upstream.
    pub(crate) listen: SocketAddr,
    /// How long it has for each answer.
    pub(crate) patience: Duration,
}

impl Foreign {
    /// Plays `scenarios` to it, one after the other, and tells `each` what came of it. Those that refuse connections are left out: an
    /// upstream that listens cannot.
    pub(crate) fn play(
        &self,
        scenarios: &[Scenario],
        mut each: impl FnMut(&Judged),
    ) -> Result<Vec<Judged>, BoxError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let gauge = Arc::new(Gauge::default());
            let upstream = Upstream::new(Script::healthy(), &gauge);
            let listener = TcpListener::bind(self.listen).await?;
            tokio::spawn(Arc::clone(&upstream).listen(listener));
            let mut all = Vec::new();
            for scenario in scenarios {
                for streamed in [false, true] {
                    let case = scenario.case(streamed);
                    if case.script.refuses() {
                        continue;
                    }
                    upstream.play(case.script.clone());
                    let seen = self.ask(streamed, &gauge).await?;
                    let judged = Judged::of_any(
                        Row::new(&scenario.name, "relay", streamed, &seen, upstream.calls()),
                        shown(&seen, &case.content),
                    );
                    each(&judged);
                    all.push(judged);
                }
            }
            Ok(all)
        })
    }

    async fn ask(&self, streamed: bool, gauge: &Gauge) -> Result<Seen, BoxError> {
        let authority = self
            .relay
            .authority()
            .ok_or("the relay's URL has no host")?;
        if self.relay.scheme_str() != Some("http") {
            return Err("the relay is asked by plain HTTP: http://HOST:PORT".into());
        }
        let at = (authority.host(), authority.port_u16().unwrap_or(80));
        let socket = TcpStream::connect(at).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the relay at {authority} does not answer: {error}"),
            )
        })?;
        let base = self
            .relay
            .path()
            .trim_end_matches('/')
            .trim_end_matches("/v1");
        Ok(asked(
            socket,
            authority.as_str(),
            base,
            streamed,
            self.patience,
            gauge,
        )
        .await)
    }
}
