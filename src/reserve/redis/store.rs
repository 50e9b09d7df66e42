//! The server, and how it is asked.

use std::{
    fmt,
    future::{Future, ready as ready_now},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::redis::{
    Client, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};
use arc_swap::ArcSwapOption;
use tokio::{sync::mpsc, time::timeout};

use super::{
    breaker::Breaker,
    counters::Counters,
    jobs::{Job, Reply, Settle, Told},
    scripts::{self, Scripts, Taken},
};
use crate::reserve::{Amounts, Quota};

/// How long the server may take where no request waits for it, and to accept a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What all scopes share.
pub(super) struct Store {
    client: Client,
    connection: ArcSwapOption<ConnectionManager>,
    scripts: Arc<Scripts>,
    /// How long a request waits for it.
    timeout: Duration,
    pub(super) breaker: Breaker,
    pub(super) counters: Counters,
    jobs: mpsc::Sender<Job>,
}

impl Store {
    pub(super) fn new(
        client: Client,
        timeout: Duration,
        breaker: Breaker,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        Self {
            client,
            connection: ArcSwapOption::empty(),
            scripts: Arc::default(),
            timeout,
            breaker,
            counters: Counters::default(),
            jobs,
        }
    }

    /// Takes `amounts` or nothing; `None` where the server does not say.
    pub(super) async fn reserve(
        self: Arc<Self>,
        key: String,
        quota: Quota,
        amounts: Amounts,
    ) -> Option<Taken> {
        let given_up = Told::Limits(Settle {
            key: key.clone(),
            quota: quota.clone(),
            reserved: amounts,
            used: Amounts::NONE,
        });
        let asked = quota.clone();
        let answer = self.call(given_up, move |scripts, mut connection| {
            Box::pin(async move {
                let call = scripts.reserve(&key, &asked, amounts);
                call.invoke_async(&mut connection).await
            })
        });
        let taken = scripts::read_reserved(&quota, &answer.await?);
        if taken.is_none() {
            tracing::error!("the store of limits answers what it was not asked");
        }
        taken
    }

    /// Asks for a reservation, as long as a request may wait; `None` where the server does not say. What it took and nobody heard of
    /// is given back by `given_up`.
    pub(super) async fn call(
        self: Arc<Self>,
        given_up: Told,
        ask: impl FnOnce(Arc<Scripts>, ConnectionManager) -> Reply,
    ) -> Option<Vec<u8>> {
        if !self.breaker.admits() {
            self.counters.skipped.add(1);
            return None;
        }
        let reply = match self.connection() {
            Ok(connection) => ask(Arc::clone(&self.scripts), connection),
            Err(error) => Box::pin(ready_now(Err(error))),
        };
        let mut asked = Asked {
            reply: Some(reply),
            given_up: Some(given_up),
            store: Arc::clone(&self),
        };
        let answered = timeout(self.timeout, &mut asked).await;
        // What is still under way is handed to the worker here.
        drop(asked);
        self.noted(answered.ok())
    }

    /// Forgets what is used of `key`.
    pub(super) async fn reset(self: Arc<Self>, key: String) {
        if !self.breaker.admits() {
            self.counters.skipped.add(1);
            return;
        }
        let delete = async {
            let mut connection = self.connection()?;
            cmd("DEL").arg(key).exec_async(&mut connection).await
        };
        let answered = timeout(self.timeout, delete).await;
        self.noted(answered.ok());
    }

    /// How long until it is worth asking again, while it does not answer.
    pub(super) fn wait(&self) -> Duration {
        self.breaker.wait().max(self.timeout)
    }

    /// Leaves `job` to the worker.
    pub(super) fn queue(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            self.counters.unsettled.add(1);
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Whether the server may be told something that cannot be said twice. After a failure it is asked to answer first.
    pub(super) async fn is_there(&self) -> bool {
        if self.breaker.is_sound() {
            return true;
        }
        if !self.breaker.admits() {
            return false;
        }
        let ping = async { cmd("PING").exec_async(&mut self.connection()?).await };
        let answered = timeout(PATIENCE, ping).await;
        self.noted(answered.ok()).is_some()
    }

    /// Tells the server of all these in one go, at most once each; how many it has settled.
    pub(super) async fn tell(&self, all: Vec<Told>) -> usize {
        let answered = timeout(PATIENCE, self.told(&all)).await;
        let answers = self.noted(answered.ok()).unwrap_or_default();
        let mut settled = 0;
        for (told, answer) in all.into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    settled += 1;
                    told.answered(&answer, &self.counters);
                }
                Err(error) => tracing::warn!(%error, "not settled"),
            }
        }
        self.counters.settled.add(settled as u64);
        settled
    }

    async fn told(&self, all: &[Told]) -> RedisResult<Vec<RedisResult<Vec<u8>>>> {
        let mut connection = self.connection()?;
        let calls = |all: &[&Told]| {
            let mut pipeline = Pipeline::with_capacity(all.len());
            pipeline.ignore_errors();
            for told in all {
                told.add_to(&mut pipeline, &self.scripts);
            }
            pipeline
        };
        let each: Vec<&Told> = all.iter().collect();
        let mut answers: Vec<RedisResult<Vec<u8>>> =
            calls(&each).query_async(&mut connection).await?;
        let unknown: Vec<usize> = (answers.iter().enumerate())
            .filter(|(_, answer)| answer.as_ref().is_err_and(is_unknown_script))
            .map(|(index, _)| index)
            .collect();
        if unknown.is_empty() {
            return Ok(answers);
        }
        // The server was restarted, or its scripts flushed.
        self.scripts.load_settle(&mut connection).await?;
        let again: Vec<&Told> = (unknown.iter())
            .filter_map(|index| all.get(*index))
            .collect();
        let later: Vec<RedisResult<Vec<u8>>> = calls(&again).query_async(&mut connection).await?;
        for (index, answer) in unknown.into_iter().zip(later) {
            if let Some(first) = answers.get_mut(index) {
                *first = answer;
            }
        }
        Ok(answers)
    }

    /// Has the breaker take note of what came of a call; `None` where it took too long.
    pub(super) fn noted<T>(&self, answered: Option<RedisResult<T>>) -> Option<T> {
        let error = match answered {
            Some(Ok(answer)) => {
                self.breaker.succeeded();
                self.counters.answered.add(1);
                return Some(answer);
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        self.counters.failed.add(1);
        if self.breaker.failed() {
            let error = error.as_ref().map(tracing::field::display);
            tracing::warn!(
                error,
                "the store of limits does not answer, and is left alone"
            );
            // It may be a connection whose other end is gone: the next one is new.
            self.connection.store(None);
        }
        None
    }

    /// Made when it is needed first: making it takes a runtime.
    pub(super) fn connection(&self) -> RedisResult<ConnectionManager> {
        if let Some(connection) = &*self.connection.load() {
            return Ok(ConnectionManager::clone(connection));
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let connection = self.client.get_connection_manager_lazy(config)?;
        self.connection.store(Some(Arc::new(connection.clone())));
        Ok(connection)
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// A reservation that is asked for. Dropped before its answer has come, it leaves that to the worker, who gives back what it took.
struct Asked {
    store: Arc<Store>,
    /// `None` once it was answered.
    reply: Option<Reply>,
    given_up: Option<Told>,
}

impl Future for Asked {
    type Output = RedisResult<Vec<u8>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(reply) = &mut self.reply else {
            return Poll::Pending;
        };
        let answer = ready!(reply.as_mut().poll(cx));
        self.reply = None;
        Poll::Ready(answer)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let (Some(reply), Some(told)) = (self.reply.take(), self.given_up.take())
            && told.gives_back()
        {
            self.store.queue(Job::Unanswered(reply, told));
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the client, whose address may hold a password.
        f.debug_struct("Store")
            .field("timeout", &self.timeout)
            .field("breaker", &self.breaker)
            .field("counters", &self.counters)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
