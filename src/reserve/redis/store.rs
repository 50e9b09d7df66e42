//! The server, and how it is asked.

use std::{
    fmt,
    future::Future,
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

/// What is left to the worker.
pub(super) enum Job {
    Settle(Settle),
    /// Nobody waits for this answer any more: if it took something, that goes back.
    Unanswered(Reply, Settle),
}

/// A settlement on its way.
#[derive(Debug)]
pub(super) struct Settle {
    pub(super) key: String,
    pub(super) quota: Quota,
    pub(super) reserved: Amounts,
    pub(super) used: Amounts,
}

pub(super) type Reply = Pin<Box<dyn Future<Output = RedisResult<Vec<u8>>> + Send>>;

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
        if !self.breaker.admits() {
            self.counters.skipped.add(1);
            return None;
        }
        let mut asked = Asked {
            reply: Some(self.ask(&key, &quota, amounts)),
            given_up: Some(Settle {
                key,
                quota: quota.clone(),
                reserved: amounts,
                used: Amounts::NONE,
            }),
            store: Arc::clone(&self),
        };
        let answered = timeout(self.timeout, &mut asked).await;
        // What is still under way is handed to the worker here.
        drop(asked);
        let answer = self.noted(answered.ok())?;
        let taken = scripts::read_reserved(&quota, &answer);
        if taken.is_none() {
            tracing::error!("the store of limits answers what it was not asked");
        }
        taken
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

    fn ask(&self, key: &str, quota: &Quota, amounts: Amounts) -> Reply {
        let scripts = Arc::clone(&self.scripts);
        let connection = self.connection();
        let (key, quota) = (key.to_owned(), quota.clone());
        Box::pin(async move {
            let call = scripts.reserve(&key, &quota, amounts);
            call.invoke_async(&mut connection?).await
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
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

    /// Tells the server of all these in one go, at most once each.
    pub(super) async fn settle(&self, settlements: &[Settle]) {
        let answered = timeout(PATIENCE, self.tell(settlements)).await;
        let told = self.noted(answered.ok()).unwrap_or_default();
        let mut settled = 0;
        for (settlement, answer) in settlements.iter().zip(told) {
            match answer {
                Ok(answer) => {
                    settled += 1;
                    let forgiven = scripts::read_settled(&settlement.quota, &answer);
                    self.counters.forgiven.add(forgiven);
                }
                Err(error) => tracing::warn!(%error, "not settled"),
            }
        }
        self.counters.settled.add(settled);
        self.counters
            .unsettled
            .add((settlements.len() as u64).saturating_sub(settled));
    }

    async fn tell(&self, settlements: &[Settle]) -> RedisResult<Vec<RedisResult<Vec<u8>>>> {
        let mut connection = self.connection()?;
        let calls = |settlements: &[&Settle]| {
            let mut pipeline = Pipeline::with_capacity(settlements.len());
            pipeline.ignore_errors();
            for settlement in settlements {
                pipeline.invoke_script(&self.scripts.settle(
                    &settlement.key,
                    &settlement.quota,
                    settlement.reserved,
                    settlement.used,
                ));
            }
            pipeline
        };
        let all: Vec<&Settle> = settlements.iter().collect();
        let mut told: Vec<RedisResult<Vec<u8>>> = calls(&all).query_async(&mut connection).await?;
        let unknown: Vec<usize> = (told.iter().enumerate())
            .filter(|(_, answer)| answer.as_ref().is_err_and(is_unknown_script))
            .map(|(index, _)| index)
            .collect();
        if unknown.is_empty() {
            return Ok(told);
        }
        // The server was restarted, or its scripts flushed.
        self.scripts.load_settle(&mut connection).await?;
        let again: Vec<&Settle> = (unknown.iter())
            .filter_map(|index| settlements.get(*index))
            .collect();
        let answers: Vec<RedisResult<Vec<u8>>> = calls(&again).query_async(&mut connection).await?;
        for (index, answer) in unknown.into_iter().zip(answers) {
            if let Some(told) = told.get_mut(index) {
                *told = answer;
            }
        }
        Ok(told)
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
    given_up: Option<Settle>,
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
        if let (Some(reply), Some(settle)) = (self.reply.take(), self.given_up.take())
            && settle.reserved != Amounts::NONE
        {
            self.store.queue(Job::Unanswered(reply, settle));
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
