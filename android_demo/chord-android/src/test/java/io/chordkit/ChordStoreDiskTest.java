package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/**
 * A store whose process ends, or whose disk fails, before any single step, and one that many threads are at. tests/android/test_store_kills.py
 * ends real processes.
 */
public final class ChordStoreDiskTest {
  @Rule public final TemporaryFolder folders = new TemporaryFolder();

  /** What is done to a store that has 5 and 6 and a strategy; what it finds before and after. */
  private abstract static class Change {
    final String after;

    Change(String after) {
      this.after = after;
    }

    abstract void make(StoreFixture at) throws ChordException, IOException;
  }

  private static final String BEFORE = "6 CURRENT mixed-nobody";

  private static final Change INSTALL =
      new Change("7 CURRENT mixed-nobody") {
        @Override
        void make(StoreFixture at) throws ChordException, IOException {
          at.install("7");
        }
      };
  private static final Change ADOPT =
      new Change("6 CURRENT off-nobody") {
        @Override
        void make(StoreFixture at) throws ChordException, IOException {
          at.adopt("off-4");
        }
      };
  private static final Change ROLL_BACK =
      new Change("5 CURRENT mixed-nobody") {
        @Override
        void make(StoreFixture at) throws ChordException, IOException {
          at.store().rollback(Shop.SUBJECT).close();
        }
      };

  /** Ends at a step: with the process, or with an error of the disk. */
  static final class EndingDisk extends Disk {
    final List<String> steps = new ArrayList<String>();
    private final int last;
    private final boolean kills;

    EndingDisk(int last, boolean kills) {
      this.last = last;
      this.kills = kills;
    }

    @Override
    void step(String what) throws IOException {
      if (steps.size() >= last && kills) {
        throw new Killed();
      }
      steps.add(what);
      if (steps.size() == last + 1) {
        throw new IOException("the disk is full");
      }
    }
  }

  static final class Killed extends Error {
    private static final long serialVersionUID = 1;
  }

  @Test
  public void aKillBeforeAnyStepLeavesTheOldOrTheNew() throws Exception {
    for (Change change : new Change[] {INSTALL, ADOPT, ROLL_BACK}) {
      List<String> steps = steps(change);
      boolean isNew = false;
      for (int last = 0; last < steps.size(); last++) {
        StoreFixture at = prepared();
        at.disk = new EndingDisk(last, true);
        try {
          change.make(at);
          throw new AssertionError(steps.get(last) + " was not reached");
        } catch (Killed killed) {
          at.disk = new Disk();
        }
        String found = at.found();
        assertTrue(steps.get(last) + ": " + found, found.equals(change.after) || (found.equals(BEFORE) && !isNew));
        isNew = found.equals(change.after);
        goOn(at, change, found);
      }
      assertTrue(isNew); // files are deleted after the last of it
    }
  }

  /** After a kill everything goes on as ever, and nothing is left lying about. */
  private void goOn(StoreFixture at, Change change, String found) throws Exception {
    if (!found.equals(change.after)) {
      change.make(at);
      assertEquals(change.after, at.found());
    }
    at.install("8");
    assertEquals("8 CURRENT another model's", at.found());
    at.assertHolds(2 + 1 + 2); // bundles, an envelope, state and lock
  }

  @Test
  public void aDiskThatFailsAtAnyStepLeavesTheOldOrTheNew() throws Exception {
    for (Change change : new Change[] {INSTALL, ADOPT, ROLL_BACK}) {
      List<String> steps = steps(change);
      for (int last = 0; last < steps.size(); last++) {
        StoreFixture at = prepared();
        String before = at.listing();
        at.disk = new EndingDisk(last, false);
        boolean failed = false;
        try {
          change.make(at);
        } catch (IOException full) {
          assertEquals("the disk is full", full.getMessage());
          failed = true;
        }
        at.disk = new Disk();
        boolean late = last >= steps.indexOf("sync folder after state");
        assertEquals(steps.get(last), late ? change.after : BEFORE, at.found());
        assertEquals(steps.get(last), failed, !steps.get(last).startsWith("delete"));
        if (last < 3) { // nothing is written whole yet
          assertEquals(steps.get(last), before, at.listing());
        }
        goOn(at, change, at.found());
      }
    }
  }

  @Test
  public void everythingIsSyncedBeforeItGetsItsNameAndTheStateIsLast() throws Exception {
    assertEquals(
        Arrays.asList(
            "create new.part", "write new.part", "sync new.part", "rename bundle-3", "sync folder after bundle-3", "create state.part",
            "write state.part", "sync state.part", "rename state", "sync folder after state", "delete bundle-0"),
        steps(INSTALL));
    assertEquals(
        Arrays.asList(
            "create new.part", "write new.part", "sync new.part", "rename envelope-3", "sync folder after envelope-3", "create state.part",
            "write state.part", "sync state.part", "rename state", "sync folder after state", "delete envelope-2"),
        steps(ADOPT));
  }

  @Test
  public void threadsAndStoresWaitForEachOther() throws Exception {
    final StoreFixture at = prepared();
    at.options.selfCheck(false);
    final String[][] work = {{"near", "off-4"}, {"swapped", "off-4"}, {"near", "user-3"}, {"swapped", "user-3"}};
    ExecutorService threads = Executors.newFixedThreadPool(work.length);
    List<Future<Integer>> done = new ArrayList<Future<Integer>>();
    for (final String[] mine : work) {
      done.add(
          threads.submit(
              new Callable<Integer>() {
                @Override
                public Integer call() throws Exception {
                  for (int i = 0; i < 10; i++) {
                    assertEquals(9, at.install(mine[0]));
                    at.adopt(mine[1]);
                    assertTrue(at.found().startsWith("9 CURRENT "));
                  }
                  return 10;
                }
              }));
    }
    for (Future<Integer> each : done) {
      assertEquals(10, each.get().intValue());
    }
    threads.shutdown();
    assertEquals("9 CURRENT off-mixed", at.found());
    at.assertHolds(2 + 2 + 2);
  }

  @Test
  public void whatIsNotOursInTheFolderStays() throws Exception {
    StoreFixture at = prepared();
    File note = new File(at.folder, "note.txt");
    assertTrue(note.createNewFile());
    assertTrue(new File(at.folder, "bundle-77.part").createNewFile());
    at.install("7");
    assertTrue(note.exists());
    assertFalse(new File(at.folder, "bundle-77.part").exists());
  }

  private List<String> steps(Change change) throws Exception {
    StoreFixture at = prepared();
    EndingDisk disk = new EndingDisk(Integer.MAX_VALUE - 1, true);
    at.disk = disk;
    change.make(at);
    assertEquals(change.after, at.found());
    return Collections.unmodifiableList(disk.steps);
  }

  private StoreFixture prepared() throws Exception {
    StoreFixture at = new StoreFixture(folders.newFolder());
    at.install("5");
    at.install("6");
    at.adopt("mixed-3");
    assertEquals(BEFORE, at.found());
    return at;
  }
}
