package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** What a store keeps of what was learned, for whom and how long. */
public final class ChordStoreLearningTest {
  @Rule public final TemporaryFolder folders = new TemporaryFolder();

  private StoreFixture at;

  @Before
  public void makeStore() throws Exception {
    at = new StoreFixture(new File(folders.getRoot(), "chord"));
    at.install("5");
    at.adopt("mixed-3");
  }

  /** A fresh start: the bits of its scores. */
  private List<Integer> scores() throws Exception {
    try (ChordStore.Session session = at.open()) {
      return StoreFixture.bits(session.scorer());
    }
  }

  private void assertRemark(String words) throws Exception {
    try (ChordStore.Session session = at.open()) {
      assertNull(session.scorer().adapter());
      assertEquals(session.remarks().toString(), 1, session.remarks().size());
      assertTrue(session.remarks().get(0), session.remarks().get(0).contains(words));
    }
  }

  private void forgetAll() throws Exception {
    try (ChordStore.Session session = at.open()) {
      session.unlearn();
    }
  }

  @Test
  public void whatWasLearnedIsThereAtTheNextStart() throws Exception {
    List<Integer> frozen = scores();
    List<Integer> moved = at.learn("few");
    assertFalse(frozen.equals(moved));
    assertEquals(moved, scores());
    at.assertHolds(5); // bundle, envelope, adapter, state, lock
    try (ChordStore.Session session = at.open()) {
      assertEquals(Collections.emptyList(), session.remarks());
      assertEquals(frozen, StoreFixture.bits(session.engine()));
    }
  }

  @Test
  public void whatIsNotWorthHavingChangesNothing() throws Exception {
    List<Integer> moved = at.learn("few");
    String before = at.listing();
    assertEquals(moved, at.learn("likely"));
    assertEquals(before, at.listing());
  }

  @Test
  public void oneCallGoesBackToTheOneBeforeAndFromThereToTheModelAsItCame() throws Exception {
    List<Integer> frozen = scores();
    List<Integer> one = at.learn("few", 30);
    List<Integer> two = at.learn("few", 35);
    List<Integer> three = at.learn("few");
    assertFalse(one.equals(two) || two.equals(three));
    at.assertHolds(6); // the two newest of them
    try (ChordStore.Session session = at.open()) {
      session.undo();
      assertEquals(two, StoreFixture.bits(session.scorer()));
      assertEquals(two, scores());
      session.undo();
      assertEquals(frozen, StoreFixture.bits(session.scorer()));
      assertEquals(frozen, scores());
      session.undo();
      assertEquals(frozen, scores());
    }
    at.assertHolds(4);
  }

  @Test
  public void whatNoLongerHelpsIsLeft() throws Exception {
    List<Integer> frozen = scores();
    List<Integer> older = at.learn("few", 30);
    List<Integer> moved = at.learn("few");
    try (ChordStore.Session session = at.open()) {
      assertEquals(0, session.review(LearningTest.clicks(session.bundle(), "few"), 20));
      assertEquals(0, session.review(LearningTest.clicks(session.bundle(), "likely"), 9)); // too few
      assertEquals(moved, StoreFixture.bits(session.scorer()));
      assertFalse(older.equals(moved));
      assertEquals(2, session.review(LearningTest.clicks(session.bundle(), "likely"), 30));
      assertEquals(frozen, StoreFixture.bits(session.scorer()));
      assertEquals(0, session.review(LearningTest.clicks(session.bundle(), "likely"), 30));
    }
    assertEquals(frozen, scores());
  }

  @Test
  public void itIsForgottenAtOnceAndForEverybodyWhoLeaves() throws Exception {
    List<Integer> frozen = scores();
    at.learn("few", 30);
    at.learn("few");
    try (ChordStore.Session session = at.open()) {
      session.unlearn();
      assertEquals(frozen, StoreFixture.bits(session.scorer()));
      session.undo();
      assertEquals(frozen, StoreFixture.bits(session.scorer()));
    }
    assertEquals(frozen, scores());
    at.assertHolds(4);
    at.learn("few");
    at.store().forget(Shop.SUBJECT);
    at.assertHolds(3); // the envelope went too
    try (ChordStore.Session session = at.open()) {
      assertNull(session.scorer().adapter());
      assertEquals(Collections.emptyList(), session.remarks());
    }
  }

  @Test
  public void itIsOneSubjectsAlone() throws Exception {
    at.learn("few");
    byte[] other = {'x'};
    try (ChordStore.Session session = at.store().open(other)) {
      assertNull(session.scorer().adapter());
      session.unlearn();
      session.undo();
    }
    at.store().forget(other);
    try (ChordStore.Session session = at.open()) {
      assertNotNull(session.scorer().adapter());
    }
  }

  @Test
  public void anotherStrategyOrUserVectorEndsItAndTheSameDoesNot() throws Exception {
    List<Integer> moved = at.learn("few");
    at.adopt("mixed-4");
    assertEquals(moved, scores());
    try (ChordStore.Session session = at.open()) {
      session.adopt(Material.bytes("store/off-5.chre"));
      assertNull(session.scorer().adapter());
      assertEquals(StoreFixture.bits(session.engine()), StoreFixture.bits(session.scorer()));
    }
    at.assertHolds(4);
    at.learn("few");
    at.adopt("user-3");
    try (ChordStore.Session session = at.open()) {
      assertNull(session.scorer().adapter());
      assertEquals(Collections.emptyList(), session.remarks());
    }
    List<Integer> withUser = at.learn("few");
    assertEquals(withUser, scores());
  }

  @Test
  public void aNewBundleOfTheSameBackboneKeepsItAndOneOfAnotherLeavesItForTheWayBack() throws Exception {
    List<Integer> moved = at.learn("few");
    at.install("6");
    assertEquals(moved, scores());
    at.install("8"); // caser
    try (ChordStore.Session session = at.open()) {
      assertNull(session.scorer().adapter());
    }
    try (ChordStore.Session session = at.store().rollback(Shop.SUBJECT)) {
      assertEquals(moved, StoreFixture.bits(session.scorer()));
    }
    assertEquals(moved, scores());
  }

  @Test
  public void withoutTheStrategyThatItWasTrainedUnderItWaits() throws Exception {
    at.learn("few");
    assertTrue(at.file("envelope-").delete());
    try (ChordStore.Session session = at.open()) {
      assertNull(session.scorer().adapter());
      assertEquals(2, session.remarks().size());
      assertTrue(session.remarks().get(1), session.remarks().get(1).contains("is for another strategy or user vector and not in use"));
    }
  }

  @Test
  public void damageEndsItWithASentence() throws Exception {
    List<Integer> frozen = scores();
    at.learn("few");
    File file = at.file("adapter-");
    byte[] data = Disk.read(file, 1 << 20);
    data[data.length / 2] ^= 1;
    write(file, data);
    assertRemark("what this phone learned is not in use: adapter: CRC: ");
    assertEquals(frozen, scores());
    assertTrue(file.delete());
    assertRemark("what this phone learned is not in use: ");
    at.learn("few");
    assertFalse(frozen.equals(scores()));
  }

  @Test
  public void whereTheStateIsLostNobodyGetsAnothersAdapter() throws Exception {
    List<Integer> frozen = scores();
    at.learn("few");
    write(new File(at.folder, "state"), new byte[] {1, 2, 3});
    try (ChordStore.Session session = at.open()) {
      assertEquals(frozen, StoreFixture.bits(session.scorer()));
    }
    forgetAll();
    at.assertHolds(4); // the file went
  }

  @Test
  public void aStateOfALibraryThatKnewNoAdaptersIsRead() throws Exception {
    String before = at.found();
    StoreState state = StoreState.parse(Disk.read(new File(at.folder, "state"), 1 << 20));
    byte[] json = Arrays.copyOfRange(state.toBytes(), 9, state.toBytes().length);
    String older = new String(json, "UTF-8").replace(",\"adapters\":[]", "").replace("\"adapters\":[],", "");
    assertFalse(older.contains("adapters"));
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    crc.update(older.getBytes("UTF-8"));
    write(new File(at.folder, "state"), String.format("%08x\n%s", crc.getValue(), older).getBytes("UTF-8"));
    try (ChordStore.Session session = at.open()) {
      assertEquals(Collections.emptyList(), session.remarks());
    }
    assertEquals(before, at.found());
  }

  @Test
  public void whereItCannotBeKeptNothingChanges() throws Exception {
    List<Integer> frozen = scores();
    for (final String full : new String[] {"write", "sync new", "rename adapter", "rename state"}) {
      at.disk =
          new Disk() {
            @Override
            void step(String what) throws IOException {
              if (what.startsWith(full)) {
                throw new IOException("the disk is full");
              }
            }
          };
      try (final ChordStore.Session session = at.open()) {
        new Attempt() {
          @Override
          public void run() throws Exception {
            session.personalise(LearningTest.clicks(session.bundle(), "few"), null, new Learning());
          }
        }.assertThrows(IOException.class, "the disk is full");
        assertEquals(frozen, StoreFixture.bits(session.scorer()));
      }
      at.disk = new Disk();
      assertEquals(frozen, scores());
    }
  }

  private static void write(File file, byte[] data) throws IOException {
    try (FileOutputStream stream = new FileOutputStream(file)) {
      stream.write(data);
    }
  }
}
