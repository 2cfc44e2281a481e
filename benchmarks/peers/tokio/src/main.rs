//! Tokio's side of bench_core.py, on its current-thread runtime: nanoseconds of CPU for one of
//! each, bytes for memory.
use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex};
use tokio::task::LocalSet;

const STEPS: u64 = 1_000_000;
const SPREAD: u64 = 4000;

fn cpu_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// One player's ball: it waits until the other has thrown, with nothing but its waker.
#[derive(Default)]
struct Ball {
    thrown: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Ball {
    fn throw(&self) {
        self.thrown.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn catch(&self) {
        poll_fn(|context: &mut Context<'_>| {
            if self.thrown.replace(false) {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

async fn play(mine: Rc<Ball>, other: Rc<Ball>) {
    for _ in 0..STEPS / 2 {
        mine.catch().await;
        other.throw();
    }
}

async fn hop(mut from: mpsc::Receiver<u32>, to: mpsc::Sender<u32>) {
    for _ in 0..STEPS / 2 {
        let item = from.recv().await.unwrap();
        let _ = to.try_send(item);
    }
}

async fn lock(mutex: Arc<Mutex<()>>) {
    for _ in 0..STEPS / 2 {
        drop(mutex.lock().await);
    }
}

/// Locked until both wait for it, so that each unlock hands it over.
async fn mutex() {
    let mutex = Arc::new(Mutex::new(()));
    let started = cpu_ns();
    let held = mutex.lock().await;
    let first = tokio::spawn(lock(mutex.clone()));
    let second = tokio::spawn(lock(mutex.clone()));
    tokio::task::yield_now().await;
    drop(held);
    first.await.unwrap();
    second.await.unwrap();
    print!("\"mutex_hand_over\": {:.2}, ", (cpu_ns() - started) / STEPS as f64);
}

/// A select of eight channels, into one of which another task sends.
async fn select() {
    let (senders, mut from): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel::<u64>(1)).unzip();
    let started = cpu_ns();
    let chooser = tokio::spawn(async move {
        let [a, b, c, d, e, f, g, h] = &mut from[..] else { unreachable!() };
        for _ in 0..STEPS {
            tokio::select! {
                biased;
                _ = a.recv() => {} _ = b.recv() => {} _ = c.recv() => {} _ = d.recv() => {}
                _ = e.recv() => {} _ = f.recv() => {} _ = g.recv() => {} _ = h.recv() => {}
            }
        }
    });
    for step in 0..STEPS {
        senders[step as usize % 8].send(step).await.unwrap();
        tokio::task::yield_now().await;
    }
    chooser.await.unwrap();
    print!("\"select\": {:.2}, ", (cpu_ns() - started) / STEPS as f64);
}

async fn lane(jobs: u64) {
    for _ in 0..jobs {
        tokio::task::spawn_blocking(|| {}).await.unwrap();
    }
}

/// Jobs that do nothing on four threads, so many of them in flight.
async fn offload(lanes: u64, jobs: u64) {
    let started = Instant::now();
    let all: Vec<_> = (0..lanes).map(|_| tokio::spawn(lane(jobs / lanes))).collect();
    for each in all {
        each.await.unwrap();
    }
    let took_ns = started.elapsed().as_nanos() as f64;
    print!("\"offload_{}\": {:.2}, ", lanes, took_ns / (jobs / lanes * lanes) as f64);
}

fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

async fn tasks() {
    let (one, two) = (Rc::new(Ball::default()), Rc::new(Ball::default()));
    let started = cpu_ns();
    let first = tokio::task::spawn_local(play(one.clone(), two.clone()));
    let second = tokio::task::spawn_local(play(two.clone(), one.clone()));
    one.throw();
    first.await.unwrap();
    second.await.unwrap();
    print!("\"await_resume\": {:.2}, ", (cpu_ns() - started) / STEPS as f64);

    let started = cpu_ns();
    for _ in 0..STEPS {
        tokio::spawn(async {}).await.unwrap();
    }
    print!("\"spawn_await\": {:.2}, ", (cpu_ns() - started) / STEPS as f64);

    let ((there, at_one), (back, at_two)) = (mpsc::channel(1), mpsc::channel(1));
    let started = cpu_ns();
    let first = tokio::spawn(hop(at_one, back));
    let second = tokio::spawn(hop(at_two, there.clone()));
    there.try_send(1).unwrap();
    first.await.unwrap();
    second.await.unwrap();
    print!("\"channel_hop\": {:.2}, ", (cpu_ns() - started) / STEPS as f64);
}

/// Await of what is ready, kept from being optimized away by a call through a pointer.
async fn ready() {
    let mut future: Pin<Box<dyn Future<Output = ()>>> =
        Box::pin(poll_fn(|_| Poll::<()>::Ready(())));
    let started = cpu_ns();
    for _ in 0..STEPS {
        tokio::task::coop::consume_budget().await;
        poll_fn(|context| future.as_mut().poll(context)).await;
    }
    print!("\"ready_await\": {:.2}, ", (cpu_ns() - started) / STEPS as f64);
}

async fn sleepers() {
    let before = resident_bytes();
    for index in 0..STEPS {
        tokio::spawn(async { tokio::time::sleep(Duration::from_secs(3600)).await });
        if index % 200 == 199 {
            tokio::task::yield_now().await;
        }
    }
    tokio::task::yield_now().await;
    print!("\"sleeping_bytes\": {:.2}, ", (resident_bytes() - before) / STEPS as f64);
}

fn spread(threads: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .build()
        .unwrap();
    let started = Instant::now();
    runtime.block_on(async {
        let spawner = tokio::spawn(async {
            let all: Vec<_> = (0..SPREAD)
                .map(|_| {
                    tokio::spawn(async {
                        let started = Instant::now();
                        while started.elapsed() < Duration::from_micros(20) {}
                    })
                })
                .collect();
            for each in all {
                each.await.unwrap();
            }
        });
        spawner.await.unwrap();
    });
    started.elapsed().as_nanos() as f64 / SPREAD as f64
}

fn main() {
    let build = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(4)
            .build()
            .unwrap()
    };
    print!("{{");
    LocalSet::new().block_on(&build(), tasks());
    build().block_on(ready());
    build().block_on(mutex());
    build().block_on(select());
    build().block_on(async {
        offload(1, 10_000).await;
        offload(64, 40_000).await;
        offload(1024, 100_000).await;
    });
    print!("\"spread_one\": {:.2}, \"spread_two\": {:.2}, ", spread(1), spread(2));
    build().block_on(sleepers());
    println!("\"version\": \"{}\"}}", option_env!("TOKIO_VERSION").unwrap_or("1"));
    std::process::exit(0);
}
