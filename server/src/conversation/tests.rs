//! The conversation actor's riskiest parts: it dies, and it retires while sends arrive.

use super::actor::RETIRE_AFTER;
use super::{Conversation, Deps, Origin, Submit};
use crate::agent::AgentDeps;
use crate::bus::{BatchPermits, LocalBus, Outlet};
use crate::mailbox::{Mailbox, Refused};
use crate::metrics::{HOOK, Metrics, install_panic_hook};
use crate::registry::{Asker, Directory, Hubs, Locate, Registry, Waiters};
use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::Arbiter;
use protocol::event::{Refusal, Sent};
use protocol::{AgentId, ConversationId, EntryKind, UserId};
use std::sync::Arc;
use std::time::Instant;
use store::conversation::{NewDirect, create_direct};
use store::{
    AgentFields, ConversationKey, NewEntry, NewUser, Overwrite, Principal, Role, Store,
    StoreConfig, SystemClock, UserKey,
};
use tokio::sync::oneshot;

/// Die.
#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for Conversation {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Context<Self>) {
        panic!("as a test wants it");
    }
}

/// Retire now, if nobody is inside.
#[derive(Message)]
#[rtype(result = "()")]
struct RetireNow;

impl Handler<RetireNow> for Conversation {
    type Result = ();

    fn handle(&mut self, _: RetireNow, ctx: &mut Context<Self>) {
        if let Some(long_ago) = Instant::now().checked_sub(RETIRE_AFTER) {
            self.last_traffic = long_ago;
        }
        self.retire_if_quiet(ctx);
    }
}

struct World {
    registry: Addr<Registry>,
    store: Store,
    metrics: Arc<Metrics>,
    user: UserKey,
    _arbiter: Arbiter,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> (Self, [ConversationKey; 2]) {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let directory = Arc::new(Directory::default());
        let bus = LocalBus::new(Arc::clone(&directory));
        let outlet = Outlet::new(
            BatchPermits::new(4),
            Arc::clone(&bus) as _,
            Arc::clone(&metrics),
        );
        let config = StoreConfig::at(folder.path().join("test.db"));
        let store = Store::open(config, Arc::new(SystemClock), Arc::new(outlet)).expect("opened");
        let (user, keys) = store.write(|conn| Ok(people(conn))).await.expect("made");
        let hubs = Arc::new(Hubs::default());
        let deps = Deps {
            store: store.clone(),
            directory: Arc::clone(&directory),
            hubs: Arc::clone(&hubs),
            waiters: Arc::new(Waiters::default()),
            metrics: Arc::clone(&metrics),
        };
        let agents = AgentDeps {
            store: store.clone(),
            directory,
            hubs,
        };
        let arbiter = Arbiter::new();
        let handles = vec![arbiter.handle()];
        let registry = Registry::start_in_arbiter(&arbiter.handle(), move |_| {
            Registry::new(deps, agents, handles)
        });
        bus.serve(registry.clone());
        (
            Self {
                registry,
                store,
                metrics,
                user,
                _arbiter: arbiter,
                _folder: folder,
            },
            keys,
        )
    }

    async fn locate(&self, key: ConversationKey) -> Mailbox<Conversation> {
        let (caller, found) = oneshot::channel();
        crate::mailbox::post(
            &self.registry,
            Locate {
                key,
                asker: Asker::Call(caller),
            },
        );
        found.await.expect("answered").expect("not draining")
    }

    /// Offers until it is taken, and waits for the answer.
    async fn say(&self, key: ConversationKey, content: &str) -> Result<Sent, Refusal> {
        let content = content.to_owned();
        let entry = Arc::new(NewEntry {
            kind: EntryKind::Message,
            sender: Principal::user(self.user),
            device: None,
            client_msg_id: None,
            content: content.into(),
            metadata: None,
        });
        loop {
            let mailbox = self.locate(key).await;
            let (caller, answer) = oneshot::channel();
            let entry = Arc::clone(&entry);
            let make = |permit| Submit {
                permit,
                origin: Origin::Call(caller),
                entry,
            };
            match mailbox.offer(make) {
                Ok(()) => return answer.await.expect("every submit is answered"),
                Err(Refused::Gone) => {}
                Err(Refused::Full) => panic!("full"),
            }
        }
    }
}

fn people(conn: &mut store::Conn) -> (UserKey, [ConversationKey; 2]) {
    let new = NewUser {
        public_id: UserId::parse("user_ann").expect("an id"),
        username: "ann".to_owned(),
        password_hash: String::new(),
        role: Role::Member,
    };
    let user = store::user::insert(conn, new).expect("a user").key;
    let id = AgentId::parse("bot").expect("an id");
    let (agent, _) =
        store::agent::upsert(conn, &id, AgentFields::default(), Overwrite::All).expect("an agent");
    let keys = ["conv_one", "conv_two"].map(|id| {
        let public_id = ConversationId::parse(id).expect("an id");
        create_direct(
            conn,
            NewDirect {
                public_id,
                user,
                agent: agent.key,
                title: None,
            },
        )
        .expect("made")
        .key
    });
    (user, keys)
}

#[expect(clippy::disallowed_methods, reason = "messages of this test only")]
fn tell<M>(mailbox: &Mailbox<Conversation>, message: M)
where
    M: Message<Result = ()> + Send + 'static,
    Conversation: Handler<M>,
{
    mailbox.addr().do_send(message);
}

#[test]
fn a_panic_in_one_conversation_harms_no_other_and_is_counted() {
    let _turn = HOOK.lock();
    actix_rt::System::new().block_on(one_conversation_panics());
}

async fn one_conversation_panics() {
    let (world, [one, two]) = World::new().await;
    install_panic_hook(Arc::clone(&world.metrics));
    assert_eq!(world.say(one, "before").await.expect("stored").seq, 1);
    tell(&world.locate(one).await, Die);
    assert_eq!(world.say(two, "elsewhere").await.expect("stored").seq, 1);
    assert_eq!(
        world.say(one, "after").await.expect("stored").seq,
        2,
        "a successor goes on"
    );
    assert_eq!(world.metrics.panics.get(), 1);
    world.store.close();
}

#[actix_rt::test]
async fn retirement_racing_with_submits_loses_and_refuses_none() {
    let (world, [one, _]) = World::new().await;
    for seq in 1..=300 {
        tell(&world.locate(one).await, RetireNow);
        assert_eq!(
            world.say(one, "still there?").await.expect("stored").seq,
            seq
        );
    }
    world.store.close();
}
