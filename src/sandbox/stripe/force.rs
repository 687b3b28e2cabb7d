//! Statuses set by hand, with the events that Stripe would send.

use serde_json::Value;

use super::error::Refusal;
use super::lifecycle::UPDATED;
use super::subscription::{Status, Subscription};
use super::subscriptions;
use super::world::World;

pub(super) fn status(world: &mut World, id: &str, status: Status) -> Result<Value, Refusal> {
    let before = world.find::<Subscription>(id)?.status;
    let now = world.now;
    match status {
        Status::Canceled => world.cancel(id, "cancellation_requested"),
        Status::IncompleteExpired => world.incomplete_expires(id),
        Status::Active if before == Status::Paused => world.resume(id),
        _ => {
            world.change::<Subscription>(id, UPDATED, |it| {
                it.status = status;
                (it.ended_at, it.canceled_at) = (None, it.canceled_at.filter(|_| before != Status::Canceled));
            });
            if status == Status::Paused {
                world.announce::<Subscription>(id, "customer.subscription.paused");
            }
            if world.find::<Subscription>(id)?.period_end > now {
                world.appoint_period(id);
            }
        }
    }
    subscriptions::retrieve(world, id)
}
