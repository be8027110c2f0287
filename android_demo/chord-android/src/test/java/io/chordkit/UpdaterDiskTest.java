package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import io.chordkit.release.PhoneFacts;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/**
 * An update whose process ends, or whose disk fails, before any single step: a phone has the old bundle with its strategy, or the new one with
 * its own. tests/android/test_store_kills.py ends real processes.
 */
public final class UpdaterDiskTest {
  @Rule public final TemporaryFolder folders = new TemporaryFolder();

  private static final String BEFORE = "7 CURRENT mixed-nobody";
  private static final String AFTER = "6 CURRENT off-nobody"; // a lower counter

  private TestChannel channel;

  @Before
  public void makeChannel() throws Exception {
    channel = new TestChannel().release(1, "6").sign();
  }

  @Test
  public void aKillBeforeAnyStepLeavesAllOfTheOldOrAllOfTheNew() throws Exception {
    List<String> steps = steps();
    assertEquals(1, Collections.frequency(steps.subList(steps.indexOf("rename bundle-4"), steps.size()), "rename state"));
    boolean isNew = false;
    for (int last = 0; last < steps.size(); last++) {
      StoreFixture at = prepared();
      at.disk = new ChordStoreDiskTest.EndingDisk(last, true);
      try {
        update(at);
        throw new AssertionError(steps.get(last) + " was not reached");
      } catch (ChordStoreDiskTest.Killed killed) {
        at.disk = new Disk();
      }
      String found = at.found();
      assertTrue(last + ", " + steps.get(last) + ": " + found, found.equals(AFTER) || (found.equals(BEFORE) && !isNew));
      isNew = found.equals(AFTER);
      goOn(at, isNew);
    }
    assertTrue(isNew); // files are deleted after the last of it
  }

  @Test
  public void aDiskThatFailsAtAnyStepLeavesAllOfTheOldOrAllOfTheNew() throws Exception {
    List<String> steps = steps();
    int turn = steps.lastIndexOf("sync folder after state");
    for (int last = 0; last < steps.size(); last++) {
      StoreFixture at = prepared();
      at.disk = new ChordStoreDiskTest.EndingDisk(last, false);
      boolean failed = false;
      try {
        update(at);
      } catch (IOException full) {
        assertEquals("the disk is full", full.getMessage());
        failed = true;
      }
      at.disk = new Disk();
      assertEquals(steps.get(last), failed, !steps.get(last).startsWith("delete"));
      assertEquals(last + ", " + steps.get(last), last >= turn || !failed ? AFTER : BEFORE, at.found());
      goOn(at, last >= turn || !failed);
    }
  }

  /** After an end everything goes on as ever, and nothing is left lying about. */
  private void goOn(StoreFixture at, boolean isNew) throws Exception {
    if (!isNew) {
      update(at);
      assertEquals(AFTER, at.found());
    }
    at.install("8");
    assertEquals("8 CURRENT another model's", at.found());
    at.assertHolds(2 + 1 + 4); // bundles, an envelope; state, lock, channel, update
  }

  private void update(StoreFixture at) throws Exception {
    PhoneFacts phone = new PhoneFacts("3.4.0", "arm64-v8a", "medium", "native");
    try (Prepared next = new Updater(at.store(), channel.root(), phone, channel).look(TestChannel.NOW)) {
      next.commit(Shop.SUBJECT, Material.bytes("store/off-4.chre")).close();
    }
  }

  private List<String> steps() throws Exception {
    StoreFixture at = prepared();
    ChordStoreDiskTest.EndingDisk disk = new ChordStoreDiskTest.EndingDisk(Integer.MAX_VALUE - 1, true);
    at.disk = disk;
    update(at);
    assertEquals(AFTER, at.found());
    return Collections.unmodifiableList(new ArrayList<String>(disk.steps));
  }

  private StoreFixture prepared() throws Exception {
    StoreFixture at = new StoreFixture(folders.newFolder());
    at.install("7");
    at.adopt("mixed-3");
    assertEquals(BEFORE, at.found());
    return at;
  }
}
