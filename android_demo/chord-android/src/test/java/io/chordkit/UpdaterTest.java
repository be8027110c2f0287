package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import io.chordkit.release.Mirror;
import io.chordkit.release.PhoneFacts;
import io.chordkit.release.PhoneReport;
import io.chordkit.release.ReleaseException;
import io.chordkit.trust.VerificationException;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.util.Arrays;
import java.util.Collections;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** What a phone makes of a release channel: what it fetches, adopts, refuses, remembers and reports. */
public final class UpdaterTest {
  @Rule public final TemporaryFolder folders = new TemporaryFolder();

  private static final PhoneFacts PHONE = new PhoneFacts("3.4.0", "arm64-v8a", "medium", "native");

  private StoreFixture at;
  private TestChannel channel;

  @Before
  public void makeChannel() throws Exception {
    at = new StoreFixture(new File(folders.getRoot(), "files/chord")); // made by the store
    channel = new TestChannel();
  }

  @Test
  public void anEmptyChannelHasNothingNew() throws Exception {
    at.install("5");
    assertNull(look(channel.sign()));
    assertEquals("5 CURRENT plain-nobody", at.found());
    assertEquals(0, at.store().release());
  }

  @Test
  public void aReleaseIsPreparedBesideWhatIsInUseAndThenTakesItsPlace() throws Exception {
    at.install("5");
    channel.release(3, "6").sign();
    try (Prepared next = look(channel)) {
      assertEquals(3, next.release().number());
      assertEquals(6, next.bundle().counter());
      assertEquals("plain-nobody", StoreFixture.answers(next.engine()));
      assertTrue(next.hasBackboneOf(Shop.bundle("store/5")));
      assertEquals("5 CURRENT plain-nobody", at.found());
      next.commit(Shop.SUBJECT).close();
    }
    assertEquals("6 CURRENT plain-nobody", at.found());
    assertEquals(3, at.store().release());
    assertNull(look(channel)); // it has it
    assertFalse(new File(at.folder, "download.chord").exists());
  }

  @Test
  public void aNewBackboneAndItsStrategyComeTogether() throws Exception {
    at.install("7");
    at.adopt("mixed-3");
    channel.release(1, "8").sign();
    try (Prepared next = look(channel)) {
      assertFalse(next.hasBackboneOf(Shop.bundle("store/7")));
      assertEquals("another model's", StoreFixture.answers(next.engine()));
      refusedCommit(next, "store/mixed-4.chre", VerificationException.NotForThis.class);
      refusedCommit(next, "store/caser-3.chre,envelopes/changed.chre", VerificationException.Untrusted.class);
      assertEquals("7 CURRENT mixed-nobody", at.found());
      ChordStore.Session session = next.commit(Shop.SUBJECT, Material.bytes("store/caser-4.chre"));
      assertEquals(Collections.emptyList(), session.remarks()); // "the kept strategy is for another backbone" would be one
      session.close();
    }
    at.store().rollback(Shop.SUBJECT).close();
    assertEquals("7 CURRENT mixed-nobody", at.found());
    assertNull(look(channel)); // the app left it, and its number was had
  }

  @Test
  public void whatWasPreparedIsNotFetchedAgain() throws Exception {
    at.install("5");
    channel.release(1, "6").sign();
    for (int i = 0; i < 5; i++) { // more often than a check may end the process
      look(channel).close();
    }
    assertEquals(1, channel.fetched(".chord"));
    at.adopt("mixed-3"); // other changes leave it
    write(at.file("release-"), spoilt(Disk.read(at.file("release-"), 1 << 20)));
    look(channel).close(); // another one takes the place of one that was damaged
    assertEquals(2, channel.fetched(".chord"));
    look(channel).commit(Shop.SUBJECT).close();
    assertEquals(2, channel.fetched(".chord"));
    assertEquals("6 CURRENT mixed-nobody", at.found());
  }

  @Test
  public void ofTwoThatWereBegunTheNewerOneStays() throws Exception {
    at.install("5");
    final Prepared old = look(channel.release(1, "6").sign());
    try (Prepared next = look(channel.release(2, "7").sign())) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          old.commit(Shop.SUBJECT);
        }
      }.assertThrows(StoreException.class, "release 1 is no longer the one that is prepared; prepare it again");
      next.commit(Shop.SUBJECT).close();
    }
    old.close();
    assertEquals("7 CURRENT plain-nobody", at.found());
  }

  @Test
  public void aHigherReleaseMayBringAnOlderBundleBack() throws Exception {
    at.ships("store/6.chord");
    look(channel.release(1, "5").sign()).commit(Shop.SUBJECT).close(); // older than what ships
    assertEquals("5 CURRENT plain-nobody", at.found());
    look(channel.release(2, "7").sign()).commit(Shop.SUBJECT).close();
    assertEquals("7 CURRENT plain-nobody", at.found());
    look(channel.release(3, "5").sign()).commit(Shop.SUBJECT).close();
    assertEquals("5 CURRENT plain-nobody", at.found());
    assertEquals(2, channel.fetched(".chord")); // 5 was still here
    new Attempt() {
      @Override
      public void run() throws Exception {
        at.install("7");
      }
    }.assertThrowsWith(VerificationException.Older.class, "8");
    at.options.minimumCounter(5);
    channel.release(4, "uncounted").sign();
    refusedLook(VerificationException.Older.class, channel); // the app's own limit
  }

  @Test
  public void whatThisPhoneCannotRunIsReportedOnceAndNotTriedAgain() throws Exception {
    at.install("5");
    channel.release(7, "swapped").sign();
    String before = at.found();
    refusedLook(SelfCheck.Failed.class, channel);
    assertEquals(before, at.found());
    assertNull(look(channel));
    assertEquals(1, channel.fetched(".chord"));
    assertEquals(0, at.store().release());
    PhoneReport report = at.store().report(PHONE);
    assertEquals("release=7,counter=9,runtime=native,abi=arm64-v8a,app=3.4.0,check=failed", report.header());
    assertEquals(report.header(), at.store().report(PHONE).header()); // until it arrives
    at.store().reported(report);
    assertEquals("release=0,counter=5,runtime=native,abi=arm64-v8a,app=3.4.0,check=none", at.store().report(PHONE).header());
    look(channel.release(8, "6").sign()).commit(Shop.SUBJECT).close();
    PhoneReport passed = at.store().report(PHONE);
    assertEquals("release=8,counter=6,runtime=native,abi=arm64-v8a,app=3.4.0,check=passed", passed.header());
    at.store().reported(report); // an old one
    at.store().reported(passed);
    assertEquals("release=8,counter=6,runtime=native,abi=arm64-v8a,app=3.4.0,check=none", at.store().report(PHONE).header());
    assertEquals("release=0,runtime=native,abi=arm64-v8a,app=3.4.0,check=none", fresh().store().report(PHONE).header());
  }

  @Test
  public void aBundleThatIsNotWhatTheChannelSaysIsNoBetter() throws Exception {
    byte[] five = Material.bytes("store/5.chord");
    String fingerprint = Hex.of(Shop.bundle("store/5").fingerprint());
    String[] wrong = {"6,5," + fingerprint, "5,4," + fingerprint, "5,5,0011223344556677"};
    for (int i = 0; i < wrong.length; i++) {
      String[] words = wrong[i].split(",");
      byte[] data = words[0].equals("5") ? five : Material.bytes("store/6.chord");
      channel.release(i + 1, data, Long.parseLong(words[1]), words[2]).sign();
      refusedLook(StoreException.class, channel);
    }
    channel.release(4, Material.bytes("refused/other.chord"), 5, fingerprint).sign();
    refusedLook(VerificationException.Untrusted.class, channel);
    assertNull(look(channel));
  }

  @Test
  public void aCheckThatEndsTheProcessThreeTimesHasFailed() throws Exception {
    at.install("5");
    channel.release(1, "6").sign();
    for (int i = 0; i < 3; i++) {
      final int last = i == 0 ? 4 : 2; // who this phone is, what was received, that it is checked; and that the check has ended
      at.disk =
          new Disk() {
            private int states;

            @Override
            void step(String what) {
              states += what.equals("create state.part") ? 1 : 0;
              if (states == last) {
                throw new ChordStoreDiskTest.Killed();
              }
            }
          };
      killedLook();
    }
    at.disk = new Disk();
    refusedLook(StoreException.class, channel);
    assertNull(look(channel));
    assertEquals("5 CURRENT plain-nobody", at.found());
  }

  @Test
  public void familiesThatAreKilledAreDroppedAndRefused() throws Exception {
    at.install("5");
    at.adopt("mixed-3");
    at.adopt("user-3");
    String fingerprint = Hex.of(Shop.bundle("store/5").fingerprint());
    String key = Hex.of(Shop.bundle("store/5").keyId());
    String range = "{\"fingerprint\":\"" + fingerprint + "\",\"from\":3,\"key\":\"%s\",\"to\":3}";
    channel.killed = String.format(range, "0011223344556677");
    assertNull(look(channel.sign()));
    assertEquals("5 CURRENT mixed-mixed", at.found()); // of another key
    channel.killed = String.format(range, key);
    assertNull(look(channel.sign()));
    try (ChordStore.Session session = at.open()) {
      assertEquals("plain-nobody", StoreFixture.answers(session.engine()));
      assertEquals(2, session.remarks().size());
      assertTrue(session.remarks().get(0).contains("the channel has withdrawn it"));
    }
    at.assertHolds(5); // bundle, state, lock, update, channel
    assertEquals(Collections.emptyList(), remarks());
    try (final ChordStore.Session session = at.open()) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          session.adopt(Material.bytes("store/mixed-3.chre"));
        }
      }.assertThrows(StoreException.class, "the channel has withdrawn the strategy with serial 3; ask for another one");
      session.adopt(Material.bytes("store/off-4.chre"));
    }
    channel.killed = "";
    assertNull(look(channel.sign()));
    at.adopt("user-3"); // taken back
    assertEquals("5 CURRENT off-mixed", at.found());
  }

  @Test
  public void thoseOfAnotherCohortOrStageStay() throws Exception {
    at.install("5");
    channel.cohort = "\"cohort\":{\"app\":{\"from\":\"4\"}},";
    channel.release(3, "7");
    channel.cohort = "";
    channel.basisPoints = 0;
    channel.release(2, "7");
    channel.basisPoints = 10000;
    channel.release(1, "6").sign();
    look(channel).commit(Shop.SUBJECT).close();
    assertEquals("6 CURRENT plain-nobody", at.found());
    String mine = state().releases.installId;
    assertEquals(32, String.valueOf(mine).length());
    assertNull(look(channel));
    assertEquals(mine, state().releases.installId);
    fresh();
    look(channel).close();
    assertNotEquals(mine, state().releases.installId);
  }

  @Test
  public void mirrorsAreAskedInTheirOrder() throws Exception {
    at.install("5");
    Mirror empty = new TestChannel().frozen();
    Mirror old = channel.release(1, "6").sign().frozen();
    Mirror stranger = new TestChannel().sign();
    channel.release(2, "7").sign();
    Mirror gone =
        new Mirror() {
          @Override
          public InputStream fetch(String path, long most) throws IOException {
            throw new IOException("nobody is there");
          }
        };
    Mirror endless =
        new Mirror() {
          @Override
          public InputStream fetch(String path, long most) {
            return new InputStream() {
              @Override
              public int read() {
                return '{';
              }
            };
          }
        };
    look(gone, empty, stranger, endless, channel).commit(Shop.SUBJECT).close();
    assertEquals("7 CURRENT plain-nobody", at.found());
    String before = at.listing();
    refusedLook(ReleaseException.WrongVersion.class, old); // it has seen newer ones
    refusedLook(ReleaseException.WrongVersion.class, gone, old);
    refusedLook(ReleaseException.WrongLength.class, endless, gone);
    refusedLook(ReleaseException.Missing.class, empty);
    refusedLook(ReleaseException.Untrusted.class, stranger);
    refusedLook(IOException.class, gone);
    assertEquals(before, at.listing());
  }

  @Test
  public void bundlesAreTakenFromAnyMirrorAndHeldAgainstTheirHash() throws Exception {
    at.install("5");
    channel.release(1, "6").sign();
    final Mirror whole = channel.frozen();
    String path = "targets/" + TestChannel.hash(Material.bytes("store/6.chord")) + ".shop-1.chord";
    for (byte[] wrong : new byte[][] {new byte[0], new byte[1 << 20]}) {
      channel.files.put(path, wrong);
      refusedLook(ReleaseException.WrongLength.class, channel);
    }
    channel.files.put(path, spoilt(Material.bytes("store/6.chord")));
    refusedLook(ReleaseException.WrongHash.class, channel);
    channel.files.remove(path);
    refusedLook(ReleaseException.Missing.class, channel);
    assertEquals(0, state().releases.failed.size()); // a bad mirror says nothing of the release
    look(channel, whole).commit(Shop.SUBJECT).close();
    assertEquals("6 CURRENT plain-nobody", at.found());
  }

  @Test
  public void whatHasExpiredBringsNothing() throws Exception {
    at.install("5");
    channel.expires = "2027-01-15T07:59:59Z";
    channel.release(1, "6").sign();
    refusedLook(ReleaseException.Expired.class, channel); // now is one second later
    assertEquals("5 CURRENT plain-nobody", at.found());
  }

  @Test
  public void aDifferenceIsPreferredAndTheWholeFileIsTheWayOut() throws Exception {
    byte[] five = Material.bytes("store/5.chord");
    byte[] six = Material.bytes("store/6.chord");
    at.install("5");
    channel.release(1, "6");
    int whole = six.length;
    byte[] difference = Material.bytes("store/5-6.chordd");
    assertTrue(difference.length < whole);
    channel.difference(1, difference, five, six).sign();
    look(channel).close();
    assertEquals(1, channel.fetched(".chordd"));
    assertEquals(0, channel.fetched(".chord"));
    byte[] spoilt = difference.clone();
    spoilt[spoilt.length - 9] ^= 1;
    for (byte[] bad : new byte[][] {spoilt, Material.bytes("store/5-7.chordd"), new byte[] {1}}) {
      fresh().install("5");
      channel.asked.clear();
      channel.difference(1, bad, five, six).sign();
      look(channel).commit(Shop.SUBJECT).close();
      assertEquals(1, channel.fetched(".chordd"));
      assertEquals(1, channel.fetched(".chord"));
      assertEquals("6 CURRENT plain-nobody", at.found());
    }
    fresh().install("7"); // another base
    channel.asked.clear();
    look(channel).close();
    assertEquals(0, channel.fetched(".chordd"));
  }

  @Test
  public void numbersThatAThiefGaveOutDoNotStay() throws Exception {
    at.install("6");
    look(channel.release(1, "7").sign()).commit(Shop.SUBJECT).close();
    channel.targets.clear();
    look(channel.release(1000000, "5").sign()).commit(Shop.SUBJECT).close(); // by a stolen key
    assertEquals("5 CURRENT plain-nobody", at.found());
    channel.targets.clear();
    channel.release(1000002, Material.bytes("store/7.chord"), 7, "0011223344556677").sign(); // a backbone that it does not have
    refusedLook(StoreException.class, channel);
    channel.targets.clear();
    channel.release(2, "7").sign();
    assertNull(look(channel));
    channel.changeKeyOfTargets().sign();
    channel.asked.clear();
    look(channel).commit(Shop.SUBJECT).close();
    assertEquals("7 CURRENT plain-nobody", at.found());
    assertEquals(2, at.store().release());
    assertEquals(0, channel.fetched(".chord")); // 7 was still here
    assertEquals(0, state().releases.failed.size());
    channel.changeKeyOfTargets().sign(); // and without a thief
    assertNull(look(channel));
    assertEquals(2, at.store().release());
  }

  @Test
  public void ofAReleaseWhoseBundleIsInUseTheNumberIsAllThatIsNew() throws Exception {
    at.install("6");
    channel.release(4, "6").sign();
    assertNull(look(channel));
    assertEquals(4, at.store().release());
    assertEquals(0, channel.fetched(".chord"));
    assertEquals("release=4,counter=6,runtime=native,abi=arm64-v8a,app=3.4.0,check=none", at.store().report(PHONE).header());
    at.ships("store/7.chord"); // an update of the app covers it
    assertEquals("7 SHIPPED plain-nobody", at.found());
    assertEquals("release=0,runtime=native,abi=arm64-v8a,app=3.4.0,check=none", at.store().report(PHONE).header());
    try (Prepared next = look(channel.release(5, "6").sign())) {
      assertEquals(0, channel.fetched(".chord"));
      assertEquals("7 SHIPPED plain-nobody", at.found()); // until its strategy is there
      next.commit(Shop.SUBJECT).close();
    }
    assertEquals("6 CURRENT plain-nobody", at.found());
  }

  @Test
  public void whatWasKeptOfTheChannelMayBeDamaged() throws Exception {
    at.install("5");
    look(channel.release(1, "6").sign()).commit(Shop.SUBJECT).close();
    File kept = new File(at.folder, "channel");
    byte[] whole = Disk.read(kept, 1 << 20);
    for (byte[] data : new byte[][] {new byte[0], new byte[100], Arrays.copyOf(whole, whole.length - 1), spoilt(whole)}) {
      write(kept, data);
      assertNull(look(channel));
      assertTrue(Arrays.equals(whole, Disk.read(kept, 1 << 20)));
    }
  }

  @Test
  public void twoLooksAtOnceAreOne() throws Exception {
    at.install("5");
    channel.release(1, "6").sign();
    look(channel).close();
    try (RandomAccessFile other = at.store().releases().folder.alone()) {
      assertNotNull(other.getChannel());
      refusedLook(IOException.class, channel);
    }
    look(channel).close();
  }

  @Test
  public void aStateOfBeforeThereWereReleasesIsRead() throws Exception {
    at.install("5");
    at.adopt("mixed-3");
    File state = new File(at.folder, "state");
    String json = new String(Disk.read(state, 1 << 20), "UTF-8").substring(9);
    org.json.JSONObject all = new org.json.JSONObject(json);
    all.put("version", 1).remove("releases");
    all.getJSONObject("current").remove("release");
    byte[] old = all.toString().getBytes("UTF-8");
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    crc.update(old);
    write(state, (String.format("%08x\n", crc.getValue()) + new String(old, "UTF-8")).getBytes("UTF-8"));
    assertEquals(Collections.emptyList(), remarks());
    assertEquals("5 CURRENT mixed-nobody", at.found());
    look(channel.release(1, "6").sign()).commit(Shop.SUBJECT).close();
    assertEquals("6 CURRENT mixed-nobody", at.found());
  }

  @Test
  public void aStateThatIsLostTakesNothingForInstalledThatWasOnlyPrepared() throws Exception {
    at.install("5");
    look(channel.release(1, "6").sign()).close();
    write(new File(at.folder, "state"), new byte[0]);
    assertEquals("5 CURRENT plain-nobody", at.found());
    look(channel).commit(Shop.SUBJECT).close();
    assertEquals("6 CURRENT plain-nobody", at.found());
  }

  private Prepared look(Mirror... mirrors) throws Exception {
    return new Updater(at.store(), channel.root(), PHONE, mirrors).look(TestChannel.NOW);
  }

  private void refusedLook(Class<? extends Throwable> kind, final Mirror... mirrors) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        look(mirrors);
      }
    }.assertThrowsWith(kind);
  }

  private void killedLook() throws Exception {
    try {
      look(channel);
    } catch (ChordStoreDiskTest.Killed killed) {
      return;
    }
    throw new AssertionError("it was not killed");
  }

  private static void refusedCommit(final Prepared prepared, final String envelopes, Class<? extends Throwable> kind) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        String[] names = envelopes.split(",");
        byte[][] sealed = new byte[names.length][];
        for (int i = 0; i < names.length; i++) {
          sealed[i] = Material.bytes(names[i]);
        }
        prepared.commit(Shop.SUBJECT, sealed);
      }
    }.assertThrowsWith(kind);
  }

  private StoreFixture fresh() throws IOException {
    at = new StoreFixture(folders.newFolder());
    return at;
  }

  private java.util.List<String> remarks() throws Exception {
    try (ChordStore.Session session = at.open()) {
      return session.remarks();
    }
  }

  private StoreState state() throws Exception {
    return StoreState.parse(Disk.read(new File(at.folder, "state"), 1 << 20));
  }

  private static byte[] spoilt(byte[] whole) {
    byte[] data = whole.clone();
    data[data.length / 2] ^= 1;
    return data;
  }

  private static void write(File file, byte[] data) throws IOException {
    try (FileOutputStream stream = new FileOutputStream(file)) {
      stream.write(data);
    }
  }
}
