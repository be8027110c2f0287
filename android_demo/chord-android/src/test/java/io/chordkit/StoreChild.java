package io.chordkit;

import io.chordkit.release.PhoneFacts;
import java.io.File;
import java.io.IOException;
import java.util.Arrays;

/**
 * A process at a store, for tests/android/test_store_kills.py: {@code step FOLDER install|adopt|learn N} stops before the n-th step of a change
 * and says so, {@code loop FOLDER ROUNDS} installs and adopts by turns, {@code follow FOLDER ROUNDS} follows a channel that goes to and fro, {@code found
 * FOLDER...} says what is in each.
 */
public final class StoreChild {
  private static final int[] OWN = {30, 35, 100};

  private StoreChild() {}

  public static void main(String[] words) throws Exception {
    StoreFixture at = new StoreFixture(new File(words[1]));
    if (words[0].equals("step")) {
      prepare(at, words[2].equals("learn"));
      at.disk = new StoppingDisk(Integer.parseInt(words[3]));
      if (words[2].equals("install")) {
        at.install("7");
      } else if (words[2].equals("learn")) {
        at.learn("few");
      } else {
        at.adopt("off-4");
      }
      say("done");
    } else if (words[0].equals("loop")) {
      loop(at, Integer.parseInt(words[2]));
    } else if (words[0].equals("follow")) {
      follow(at, Integer.parseInt(words[2]));
    } else {
      for (int i = 1; i < words.length; i++) {
        StoreFixture one = new StoreFixture(new File(words[i]));
        say(one.found() + learned(one));
      }
    }
  }

  private static void prepare(StoreFixture at, boolean learn) throws Exception {
    at.install("5");
    at.install("6");
    at.adopt("mixed-3");
    for (int i = 0; learn && i < OWN.length - 1; i++) {
      at.learn("few", OWN[i]);
    }
  }

  /** Of how many clicks what is in use was learned. */
  private static String learned(StoreFixture at) throws Exception {
    try (ChordStore.Session session = at.open()) {
      Adapter used = session.scorer().adapter();
      if (used == null) {
        return "";
      }
      ClickStream clicks = LearningTest.clicks(session.bundle(), "few");
      for (int own : OWN) {
        Adapter made = Personalisation.of(session.engine(), clicks, null, new Learning().ownClicks(own)).adapter();
        if (made != null && Arrays.equals(made.bytes(), used.bytes())) {
          return " learned from " + own;
        }
      }
      return " learned from what nobody knows";
    }
  }

  private static void loop(StoreFixture at, int rounds) throws ChordException, IOException {
    at.options.selfCheck(false);
    at.install("near");
    at.adopt("mixed-4");
    say("started");
    for (int i = 0; i < rounds; i++) {
      at.install(i % 2 == 0 ? "swapped" : "near");
      at.adopt(i % 2 == 0 ? "off-4" : "mixed-4");
    }
    say("done");
  }

  /** Each bundle comes with a strategy of its own. */
  private static void follow(StoreFixture at, int rounds) throws Exception {
    TestChannel channel = new TestChannel();
    PhoneFacts phone = new PhoneFacts("3.4.0", "arm64-v8a", "medium", "native");
    for (int i = 0; i < rounds; i++) {
      channel.targets.clear();
      channel.release(i + 1, i % 2 == 0 ? "7" : "5").sign();
      try (Prepared next = new Updater(at.store(), channel.root(), phone, channel).look(TestChannel.NOW)) {
        next.commit(Shop.SUBJECT, Material.bytes(i % 2 == 0 ? "store/mixed-4.chre" : "store/off-4.chre")).close();
      }
      if (i == 0) {
        say("started");
      }
    }
    say("done");
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static final class StoppingDisk extends Disk {
    private int left;

    StoppingDisk(int left) {
      this.left = left;
    }

    @Override
    void step(String what) {
      if (left-- > 0) {
        return;
      }
      say("before " + what);
      while (true) {
        try {
          Thread.sleep(1000);
        } catch (InterruptedException goOnWaiting) {
          continue;
        }
      }
    }
  }
}
