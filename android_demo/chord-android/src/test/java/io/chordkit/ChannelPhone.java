package io.chordkit;

import io.chordkit.release.HttpsMirror;
import io.chordkit.release.Mirror;
import io.chordkit.release.PhoneFacts;
import io.chordkit.release.PhoneReport;
import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;

/**
 * A phone at a channel that Python made, for tests/android/test_release_channel.py: {@code FOLDER ROOT ADDRESS...}, then a word a line: {@code
 * look} follows the channel and adopts what it has, {@code adopt NAME} an envelope; the answer is what a fresh start finds, and a report, which
 * then has arrived.
 */
public final class ChannelPhone {
  private static final PhoneFacts FACTS = new PhoneFacts("3.4.0", "arm64-v8a", "medium", "native");

  private ChannelPhone() {}

  public static void main(String[] words) throws Exception {
    StoreFixture at = new StoreFixture(new File(words[0]));
    byte[] root = new byte[(int) new File(words[1]).length()];
    try (InputStream stream = new FileInputStream(words[1])) {
      new DataInputStream(stream).readFully(root);
    }
    Mirror[] mirrors = new Mirror[words.length - 2];
    for (int i = 0; i < mirrors.length; i++) {
      mirrors[i] = new HttpsMirror(words[i + 2]);
    }
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String went = "nothing";
      try {
        went = line.equals("look") ? look(new Updater(at.store(), root, FACTS, mirrors)) : adopt(at, line);
      } catch (ChordException refused) {
        went = refused.getClass().getSimpleName();
      }
      PhoneReport report = at.store().report(FACTS);
      at.store().reported(report);
      System.out.println(went + "; " + at.found() + "; " + report.header());
      System.out.flush();
    }
  }

  private static String look(Updater updater) throws Exception {
    try (Prepared next = updater.look(System.currentTimeMillis() / 1000)) {
      if (next == null) {
        return "nothing";
      }
      next.commit(Shop.SUBJECT).close();
      return "release " + next.release().number();
    }
  }

  private static String adopt(StoreFixture at, String line) throws Exception {
    at.adopt(line.substring("adopt ".length()));
    return "adopted";
  }
}
