//! The kill and its proof against a hypervisor that behaves as the recordings of real Xen show. Each
//! test is named after what was seen.

mod world;

use super::*;
use crate::target::tests::{UUID, node, row};
use world::{
    MS, Scene, World, failed, fence, fence_after, fence_before, grant, hang, not_started, process,
};
use xen_fence_protocol::Power;

#[test]
fn a_domain_that_dies_at_once_is_fenced_at_once() {
    let world = World::running();
    let (ended, took, scene) = fence(&world);
    assert_eq!((ended, scene.harmless, scene.asked), (Ok(How::Killed), 1, 1));
    assert_eq!(*world.destroyed.borrow(), [5]);
    assert!(took < 200, "{took}");
    let steps: Vec<&str> = scene.steps.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, ["destroyed", "proven"]);
    let evidence = "no row has its UUID, of 1 that are listed; no xl process could bring it back; \
                    writers: 0";
    assert_eq!(scene.steps[1].1, evidence);
}

#[test]
fn t79_a_held_up_write_keeps_the_corpse_and_the_corpse_keeps_the_proof_open() {
    for held in [0, 400, 5_000, 300_000, 590_000] {
        let world = World::running().on_destroy(move |world, domid| {
            world.make_corpse(domid);
            world.later(MS(held), move |world| world.remove(domid));
            Ok(())
        });
        let (ended, took, scene) = fence(&world);
        assert_eq!(ended, Ok(How::Killed), "held {held}");
        assert!((held..held + 1_000).contains(&took), "held {held}, took {took}");
        assert_eq!(scene.harmless, 1, "the lock is free while the corpse stays");
        assert_eq!(*world.destroyed.borrow(), [5], "a corpse is not destroyed again");
    }
}

#[test]
fn t79_a_corpse_that_stays_is_a_failure_that_says_what_holds_it() {
    let world = World::running().on_destroy(|world, domid| {
        world.make_corpse(domid);
        Ok(())
    });
    let (ended, took, scene) = fence(&world);
    let not = ended.unwrap_err();
    assert_eq!(not.failure, Failure::Dying);
    assert!(not.recorded.contains("domain 5 is still dying"), "{}", not.recorded);
    assert!(took >= 600_000);
    assert_eq!(scene.words.len(), 1);
}

#[test]
fn t77_the_name_goes_before_the_domain_does() {
    let world = World::running().on_destroy(|world, domid| {
        for row in world.rows.borrow_mut().iter_mut() {
            row.name = None;
        }
        world.later(MS(700), move |world| world.remove(domid));
        Ok(())
    });
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 700);
}

#[test]
fn t89_a_corpse_beside_a_new_instance_both_have_to_go() {
    let world = World::with(vec![row(1, "", UUID, true), row(2, "alpha-node2", UUID, false)]);
    world.later(MS(3_000), |world| world.remove(1));
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert_eq!(*world.destroyed.borrow(), [2]);
    assert!(took >= 3_000 - 50);
}

#[test]
fn t61_t60_a_guest_between_two_lives_is_waited_for_and_killed() {
    for gap in [100, 2_000, 20_000] {
        let world = World::with(vec![]);
        world.restarters.borrow_mut().push(process("xl"));
        world.later(MS(gap), |world| world.add(6));
        let world = world.on_destroy(|world, domid| {
            world.remove(domid);
            world.restarters.borrow_mut().clear();
            Ok(())
        });
        let (ended, took, scene) = fence(&world);
        assert_eq!(ended, Ok(How::Killed), "gap {gap}");
        assert_eq!(*world.destroyed.borrow(), [6]);
        assert!(took >= gap);
        assert_eq!((scene.harmless, scene.asked), (2, 1), "a kill after that wants the lock");
    }
}

#[test]
fn t61_a_reboot_in_the_middle_of_the_kill_is_killed_again() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        if domid == 5 {
            world.restarters.borrow_mut().push(process("xl"));
            world.later(MS(2_000), |world| world.add(6));
            return Err(failed("alpha-node2 is an invalid domain identifier (rc=-6)"));
        }
        world.restarters.borrow_mut().clear();
        Ok(())
    });
    let (ended, _, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert_eq!(*world.destroyed.borrow(), [5, 6]);
}

#[test]
fn a_monitor_that_stays_is_no_proof_of_absence() {
    let world = World::with(vec![]);
    world.restarters.borrow_mut().push(process("xl"));
    let (ended, _, _) = fence(&world);
    let not = ended.unwrap_err();
    assert_eq!(not.failure, Failure::Dying);
    assert!(not.recorded.contains("pid 4242"), "{}", not.recorded);
}

#[test]
fn t99_a_toolstack_that_falls_silent_proves_nothing_until_it_speaks_again() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.silent.set(true);
        world.later(MS(45_000), |world| world.silent.set(false));
        Ok(())
    });
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 45_000);

    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.silent.set(true);
        Ok(())
    });
    assert_eq!(fence(&world).0.unwrap_err().failure, Failure::Toolstack);
}

#[test]
fn t99_a_destroy_that_hangs_and_leaves_the_domain_alive_is_a_failure() {
    let world = World::running().on_destroy(|world, _| {
        world.pass(MS(55_000));
        Err(hang("xl destroy 5", MS(55_000)))
    });
    let not = fence(&world).0.unwrap_err();
    assert_eq!(not.failure, Failure::Toolstack);
    assert!(not.recorded.contains("did not end within 55 s"), "{}", not.recorded);
    assert_eq!(*world.destroyed.borrow(), [5]);
}

/// Where the host has no process to give for a moment.
#[test]
fn a_destroy_that_could_not_be_started_is_tried_again() {
    let world = World::running().on_destroy(|world, domid| {
        if world.destroyed.borrow().len() > 1 {
            world.remove(domid);
            return Ok(());
        }
        Err(not_started())
    });
    assert_eq!(fence(&world).0, Ok(How::Killed));
    assert_eq!(*world.destroyed.borrow(), [5, 5]);
}

#[test]
fn t44_a_second_destroy_at_the_same_time_changes_nothing() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        Err(failed("destroy failed (rc=-21)"))
    });
    assert_eq!(fence(&world).0, Ok(How::Killed));
}

#[test]
fn a_destroy_that_only_says_so_is_found_out() {
    let world = World::running().on_destroy(|_, _| Ok(()));
    let (ended, took, scene) = fence(&world);
    assert_eq!(ended.unwrap_err().failure, Failure::Alive);
    assert_eq!(*world.destroyed.borrow(), [5, 5, 5]);
    assert_eq!(scene.harmless, 0);
    assert!(took < 10_000, "{took}");
}

#[test]
fn a_device_model_that_outlives_its_domain_keeps_the_proof_open() {
    let world = World::running();
    world.writers.borrow_mut().push(process("device model qemu-system-i386"));
    world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
    let (ended, took, scene) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 8_000 - 50);
    assert_eq!(scene.words.len(), 1);
}

/// The disk of a tapdisk that was attached while the node ran is named nowhere once its domain is gone.
#[test]
fn whoever_fences_after_a_fence_that_failed_waits_for_the_same_writers() {
    let world = World::with(vec![]);
    world.writers.borrow_mut().push(process("tapdisk"));
    world.unseen.set(true);
    world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
    let (ended, took, _) = fence_after(&world, Scene::default(), known("tapdisk"));
    assert_eq!(ended, Ok(How::Absent));
    assert!(took >= 8_000, "{took}");
    // And for one of which nobody could tell, unless somebody can by now.
    for (of_neighbour, least, most) in [(false, 8_000, 8_500), (true, 0, 100)] {
        let world = World::with(vec![]);
        let tapdisk = if of_neighbour { &world.neighbours } else { &world.writers };
        tapdisk.borrow_mut().push(process("tapdisk"));
        world.unseen.set(true);
        world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
        let (ended, took, _) = fence_after(&world, Scene::default(), perhaps("tapdisk"));
        assert_eq!(ended, Ok(How::Absent));
        assert!((least..=most).contains(&took), "{took}");
    }
}

fn known(what: &str) -> Writers {
    Writers { known: vec![process(what)], ..Writers::default() }
}

fn perhaps(what: &str) -> Writers {
    Writers { perhaps: vec![process(what)], ..Writers::default() }
}

/// Of a node that is off each look tells anew who may write for it: it had none when somebody could tell.
#[test]
fn one_in_doubt_beside_a_node_that_is_off_is_waited_for_while_it_is() {
    let world = World::with(vec![]);
    world.writers.borrow_mut().push(process("tapdisk"));
    world.doubted.set(true);
    world.later(MS(1_000), |world| {
        let tapdisk = world.writers.take();
        *world.strangers.borrow_mut() = tapdisk;
    });
    let (ended, took, scene) = fence(&world);
    assert_eq!((ended, scene.writes), (Ok(How::Absent), vec![]));
    assert!((1_000..1_500).contains(&took), "{took}");
}

/// While xenstore is silent any tapdisk may be the node's.
#[test]
fn one_that_turns_out_to_be_a_neighbours_is_waited_for_no_longer() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.later(MS(1_000), |world| {
            let tapdisk = world.writers.take();
            *world.neighbours.borrow_mut() = tapdisk;
        });
        Ok(())
    });
    world.writers.borrow_mut().push(process("tapdisk"));
    world.doubted.set(true);
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!((1_000..1_500).contains(&took), "{took}");
    // What nobody names any more may be what was attached to the node.
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.later(MS(1_000), |world| world.unseen.set(true));
        world.later(MS(5_000), |world| world.writers.borrow_mut().clear());
        Ok(())
    });
    world.writers.borrow_mut().push(process("tapdisk"));
    world.doubted.set(true);
    let (ended, took, scene) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 5_000, "{took}");
    let doubt = "tapdisk (pid 4242) still runs, and nobody can tell that it is not its own";
    assert_eq!(scene.words, [doubt]);
}

/// Its disks are known as long as its domain is there.
#[test]
fn a_tapdisk_that_is_the_nodes_only_while_it_lives_is_waited_for() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.unseen.set(true);
        world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
        Ok(())
    });
    world.writers.borrow_mut().push(process("tapdisk"));
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 8_000, "{took}");
    // The same of a life that has come since.
    let world = World::with(vec![row(1, "", UUID, true)]).on_destroy(|world, domid| {
        world.remove(domid);
        world.unseen.set(true);
        world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
        Ok(())
    });
    world.later(MS(1_000), |world| {
        world.remove(1);
        world.add(6);
        world.writers.borrow_mut().push(process("tapdisk"));
    });
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 9_000 - 50, "{took}");
}

#[test]
fn who_writes_is_told_once() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.later(MS(3_000), |world| world.writers.borrow_mut().clear());
        Ok(())
    });
    world.writers.borrow_mut().push(process("tapdisk"));
    let scene = fence(&world).2;
    assert_eq!(scene.writes, [known("tapdisk")]);
    assert!(fence(&World::running()).2.writes.is_empty());
    let world = World::running();
    world.writers.borrow_mut().push(process("tapdisk"));
    world.doubted.set(true);
    world.later(MS(3_000), |world| world.writers.borrow_mut().clear());
    let (ended, took, scene) = fence(&world);
    assert_eq!((ended, scene.writes), (Ok(How::Killed), vec![perhaps("tapdisk")]));
    assert!(took >= 3_000 - 50, "{took}");
}

#[test]
fn a_node_that_is_off_already_is_proven_so() {
    let world = World::with(vec![]);
    assert_eq!(fence(&world).0, Ok(How::Absent));
    assert!(world.destroyed.borrow().is_empty());
}

#[test]
fn the_shell_of_a_migration_is_not_the_node() {
    let world = World::with(vec![row(5, "alpha-node2--migratedaway", UUID, false)]);
    assert_eq!(fence(&world).0, Ok(How::Shell));
    let world = World::with(vec![
        row(5, "alpha-node2--migratedaway", UUID, false),
        row(6, "alpha-node2--incoming", UUID, false),
    ]);
    assert_eq!(fence(&world).0, Ok(How::Killed));
}

#[test]
fn the_writers_of_a_row_that_is_first_seen_dying_are_waited_for() {
    let world = World::with(vec![]);
    world.restarters.borrow_mut().push(process("xl"));
    world.later(MS(1_000), |world| {
        world.rows.borrow_mut().push(row(6, "", UUID, true));
        world.writers.borrow_mut().push(process("device model qemu-system-i386"));
    });
    world.later(MS(2_000), |world| {
        world.remove(6);
        world.restarters.borrow_mut().clear();
    });
    world.later(MS(5_000), |world| world.writers.borrow_mut().clear());
    let (_, took, scene) = fence(&world);
    assert!(took >= 5_000, "{took}");
    // Each time something else is waited for, it is said.
    let words = scene.words;
    assert!(words.len() >= 2 && words.last().unwrap().contains("device model"), "{words:?}");
}

#[test]
fn the_writers_of_a_life_that_no_look_has_shown_are_waited_for() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        // Its monitor has given it another life, which has ended too and left its device model.
        world.writers.borrow_mut().push(process("device model qemu-system-i386"));
        world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
        Ok(())
    });
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 8_000, "{took}");
}

#[test]
fn a_life_that_was_set_aside_is_killed_and_tells_nothing_of_a_shell() {
    let aside = || row(4, "alpha-node2-20261121T0832Z", UUID, false);
    assert_eq!(fence(&World::with(vec![aside()])).0, Ok(How::Killed));
    let shell = row(5, "alpha-node2--migratedaway", UUID, false);
    assert_eq!(fence(&World::with(vec![aside(), shell.clone()])).0, Ok(How::Shell));
    assert_eq!(fence(&World::with(vec![row(6, "", UUID, false), shell])).0, Ok(How::Shell));
}

#[test]
fn a_life_that_was_set_aside_does_not_run() {
    let aside = row(4, "alpha-node2-20261121T0832Z", UUID, false);
    let world = World::with(vec![aside]);
    let host = Host { toolstack: &world, processes: &world, clock: &world };
    let sight = host.look(&node()).unwrap();
    assert!(sight.lives() && !sight.runs());
    assert_eq!(sight.power(&host), Power::Unknown);
    assert!(sight.obstacle().unwrap().contains("`off` removes it"));
}

#[test]
fn a_stranger_with_the_nodes_uuid_ends_the_proof() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.rows.borrow_mut().push(row(9, "beta-db1", UUID, false));
        Ok(())
    });
    let host = Host { toolstack: &world, processes: &world, clock: &world };
    let sight = host.look(&node()).unwrap();
    let ended = host.fence(&grant(), &node(), sight, Writers::default(), &mut Scene::default());
    let not = ended.unwrap_err();
    assert_eq!(not.failure, Failure::Ambiguous);
    for said in [not.told, not.recorded] {
        assert!(!said.contains("nothing was touched"), "domain 5 was: {said}");
    }
    assert_eq!(*world.destroyed.borrow(), [5]);
}

#[test]
fn absence_under_a_toolstack_that_restarts_by_itself_is_no_proof() {
    let world = World { restarts_by_itself: true, ..World::with(vec![]) };
    assert_eq!(fence(&world).0.unwrap_err().failure, Failure::Dying);
    let world = World { restarts_by_itself: true, ..World::running() };
    assert_eq!(fence(&world).0, Ok(How::Killed));
}

/// Root holds the node while its corpse stays, and starts it by hand; or the go is of long ago.
#[test]
fn what_has_come_since_is_killed_only_if_that_is_still_wanted() {
    let world = || {
        World::running().on_destroy(|world, domid| {
            if domid == 5 {
                world.make_corpse(domid);
                world.later(MS(4_000), |world| world.add(6));
                world.later(MS(5_000), |world| world.remove(5));
            } else {
                world.remove(domid);
            }
            Ok(())
        })
    };
    let wanted = world();
    assert_eq!(fence(&wanted).0, Ok(How::Killed));
    assert_eq!(*wanted.destroyed.borrow(), [5, 6]);
    let held = world();
    assert_eq!(
        not_again(&held),
        "node2 was killed, and lives again as domain 6, which is left alone: no"
    );
    assert_eq!(*held.destroyed.borrow(), [5]);
}

/// What a fence says that may destroy once and not again.
fn not_again(world: &World) -> String {
    let scene = Scene { forbids: Some("no"), ..Scene::default() };
    let not = fence_before(world, scene).0.unwrap_err();
    assert_eq!(not.failure, Failure::Alive);
    not.told
}

/// The time in which nobody could look was anybody's: what lives after it need not be what was to die.
#[test]
fn what_is_seen_alive_after_a_silence_is_killed_only_if_that_is_still_wanted() {
    let silent = |world: &World| {
        world.silent.set(true);
        world.later(MS(60_000), |world| world.silent.set(false));
    };
    let survives = World::running().on_destroy(move |world, _| {
        silent(world);
        Err(not_started())
    });
    assert_eq!(not_again(&survives), "node2 lives on as domain 5, which is left alone: no");
    assert_eq!(*survives.destroyed.borrow(), [5]);
    let anew = World::running().on_destroy(move |world, domid| {
        world.remove(domid);
        silent(world);
        world.later(MS(30_000), |world| world.add(6));
        Ok(())
    });
    let told = "node2 was killed, and lives again as domain 6, which is left alone: no";
    assert_eq!(not_again(&anew), told);
    assert_eq!(*anew.destroyed.borrow(), [5]);
}

/// A destroy that could not run has killed nobody, however often that was tried.
#[test]
fn who_dies_before_a_destroy_could_run_was_not_killed() {
    let world = World::running().on_destroy(|_, _| Err(not_started()));
    world.later(MS(8_000), |world| world.remove(5));
    assert_eq!(fence(&world).0, Ok(How::Absent));
    assert!(world.destroyed.borrow().len() > 3, "{:?}", world.destroyed);
}

/// What a sight says to somebody who only asks: nothing is off that could write or come back.
#[test]
fn only_what_can_neither_write_nor_come_back_is_off() {
    let corpse = || row(5, "", UUID, true);
    let (living, arriving) =
        (row(6, "alpha-node2", UUID, false), row(7, "alpha-node2--incoming", UUID, false));
    let world = World::with(vec![]);
    let looked = || {
        let host = Host { toolstack: &world, processes: &world, clock: &world };
        host.look(&node()).map(|sight| (sight.power(&host), sight.obstacle())).unwrap()
    };
    assert_eq!(looked(), (Power::Off, None));
    world.writers.borrow_mut().push(process("tapdisk"));
    assert_eq!(looked(), (Power::Unknown, Some("its tapdisk (pid 4242) still runs".to_owned())));
    for (rows, restarter, by_itself, expected) in [
        (vec![], false, false, Power::Off),
        (vec![], true, false, Power::Unknown),
        (vec![], false, true, Power::Unknown),
        (vec![corpse()], false, false, Power::Unknown),
        (vec![corpse()], true, true, Power::Unknown),
        (vec![living.clone()], false, false, Power::On),
        (vec![living.clone()], true, true, Power::On),
        (vec![corpse(), living], false, false, Power::On),
        (vec![arriving], false, false, Power::On),
    ] {
        let what = format!("{rows:?}, restarter {restarter}, restarts by itself {by_itself}");
        let off = rows.is_empty();
        let world = World { restarts_by_itself: by_itself, ..World::with(rows) };
        if restarter {
            world.restarters.borrow_mut().push(process("xl"));
        }
        let host = Host { toolstack: &world, processes: &world, clock: &world };
        let sight = host.look(&node()).unwrap();
        assert_eq!(sight.power(&host), expected, "{what}");
        if !sight.lives() {
            // A power-on has to respect the same.
            let obstacle = sight.obstacle();
            assert_eq!(obstacle.is_none(), off && !restarter, "{what}: {obstacle:?}");
        }
    }
}
