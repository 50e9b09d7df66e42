//! The two stacks, and what they are heard to say.

use std::{
    collections::HashMap,
    convert::Infallible,
    env,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};
use tower_relay::{
    client::{Target, Upstreams},
    gateway::{Config, demo::Demo},
    message::{
        BoxError, Media, Output, RequestBody, RequestId, ResponseBody, Transform, transform,
    },
    model_select::Answer,
};

use crate::{AnyError, options::Options};

/// The most of an answer that is looked at, in bytes.
const MAX: usize = 1 << 20;

/// Both stacks, each with the model that it is asked for.
pub(crate) struct Sides {
    pub(crate) primary: (Target, String),
    pub(crate) shadow: (Target, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Which {
    Primary,
    Shadow,
}

impl Sides {
    pub(crate) async fn of(options: &Options) -> Result<Self, AnyError> {
        let (config, names) = match &options.config {
            Some(path) => (Config::from_file(path)?, None),
            None => (
                demos().await?,
                Some((("exact", "demo-small"), ("deviant", "deviant-mistral"))),
            ),
        };
        let (upstreams, workers) = config.build_upstreams(&|name| match name {
            "DEMO_KEY" if options.config.is_none() => Some("demo-key".to_owned()),
            name => env::var(name).ok(),
        })?;
        for worker in workers {
            tokio::spawn(worker);
        }
        let (primary, shadow) = names.unzip();
        let sides = Self {
            primary: side("primary", &upstreams, &options.primary, primary)?,
            shadow: side("shadow", &upstreams, &options.shadow, shadow)?,
        };
        if sides.primary.0.name() == sides.shadow.0.name() {
            return Err(
                "--shadow: is the primary itself; give the other model an upstream of its own"
                    .into(),
            );
        }
        Ok(sides)
    }
}

fn side(
    which: &str,
    upstreams: &Upstreams,
    (name, model): &(Option<String>, Option<String>),
    default: Option<(&str, &str)>,
) -> Result<(Target, String), AnyError> {
    let name = name.as_deref().or(default.map(|(name, _)| name));
    let name = name.ok_or_else(|| format!("--{which} is missing"))?;
    let model = model.as_deref().or(default.map(|(_, model)| model));
    let model = model.ok_or_else(|| format!("--{which}-model is missing"))?;
    let target = upstreams.get(name).cloned().ok_or_else(|| {
        let known: Vec<_> = upstreams.iter().map(|target| &**target.name()).collect();
        format!(
            "--{which}: {name:?} is not there: known are {}",
            known.join(", ")
        )
    })?;
    Ok((target, model.to_owned()))
}

/// Two demo upstreams that are served from here on: one is exactly OpenAI's, the other almost.
async fn demos() -> Result<Config, AnyError> {
    let mut config = String::new();
    for (name, demo) in [("exact", Demo::exact()), ("deviant", Demo::deviant())] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(demo.serve(listener, std::future::pending::<()>()));
        write!(
            config,
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\n\
             credential = {{ env = \"DEMO_KEY\" }}\nnormalize = {{}}\ncost = {{}}\n"
        )?;
    }
    Ok(Config::from_toml(&config, "demos")?)
}

/// What was heard of the answers to each request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<HashMap<(String, Which), Heard>>>);

/// An answer as it passed.
#[derive(Debug)]
pub(crate) struct Heard {
    media: Media,
    bytes: Vec<u8>,
}

impl Heard {
    pub(crate) fn answer(&self) -> Option<Answer> {
        match self.media {
            Media::EventStream => Answer::read_events(&self.bytes),
            _ => Answer::read(&self.bytes),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Answers {
    pub(crate) fn take(&self, id: &str, which: Which) -> Option<Heard> {
        self.lock().remove(&(id.to_owned(), which))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Which), Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `target`, with all that it answers heard.
pub(crate) fn heard(target: Target, which: Which, answers: &Answers) -> Target {
    let (name, answers) = (Arc::clone(target.name()), answers.clone());
    let service = service_fn(move |request: Request<RequestBody>| {
        let (target, answers) = (target.clone(), answers.clone());
        async move {
            let id = request.extensions().get().cloned();
            let id = id.or_else(|| RequestId::from_headers(request.headers()));
            let response = target.oneshot(request).await?;
            Ok::<_, Infallible>(match id {
                Some(id) => hear(response, (id.as_str().to_owned(), which), answers),
                None => response,
            })
        }
    });
    Target::new(name, service)
}

fn hear(
    response: Response<ResponseBody>,
    key: (String, Which),
    answers: Answers,
) -> Response<ResponseBody> {
    let media = response.body().media();
    let ear = Ear {
        heard: Some((
            key,
            Heard {
                media,
                bytes: Vec::new(),
            },
        )),
        answers,
    };
    transform(response, ear)
}

/// Copies what passes, and hands it over at the end.
struct Ear {
    heard: Option<((String, Which), Heard)>,
    answers: Answers,
}

impl Transform for Ear {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        if let Some((_, heard)) = &mut self.heard
            && heard.bytes.len() + data.len() <= MAX
        {
            heard.bytes.extend_from_slice(&data);
        }
        output.push(data)
    }

    fn keeps_length(&self) -> bool {
        true
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some((key, heard)) = self.heard.take() {
            self.answers.lock().insert(key, heard);
        }
    }
}
