package io.chordkit;

import static org.junit.Assert.assertTrue;

import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.File;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;

/** A store in a folder of its own, and what can be seen of it from outside. */
final class StoreFixture {
  final File folder;
  final ChordStore.Options options = new ChordStore.Options();
  Disk disk = new Disk();

  StoreFixture(File folder) {
    this.folder = folder;
  }

  ChordStore store() throws IOException {
    return new ChordStore(folder, Shop.keys(), Shop.verifier(), options, disk);
  }

  StoreFixture ships(final String name) {
    options.shipped(
        new ChordStore.Shipped() {
          @Override
          public Bundle open(TrustedKeys keys, Ed25519Verifier verifier, long minimum) throws ChordException, IOException {
            return Bundle.map(Material.file(name), keys, verifier, minimum);
          }
        });
    return this;
  }

  /** Installs one of the shop's bundles; gives its counter. */
  long install(String name) throws ChordException, IOException {
    try (ChordStore.Session session = store().install(Shop.stream("store/" + name + ".chord"), Shop.SUBJECT)) {
      return session.bundle().counter();
    }
  }

  ChordStore.Session open() throws ChordException, IOException {
    return store().open(Shop.SUBJECT);
  }

  void adopt(String name) throws ChordException, IOException {
    try (ChordStore.Session session = open()) {
      session.adopt(Material.bytes("store/" + name + ".chre"));
    }
  }

  /** Learns from some of the newest clicks; gives the bits of the scores then. */
  List<Integer> learn(String clicks, int most) throws Exception {
    try (ChordStore.Session session = open()) {
      session.personalise(LearningTest.clicks(session.bundle(), clicks), null, new Learning().ownClicks(most));
      return bits(session.scorer());
    }
  }

  List<Integer> learn(String clicks) throws Exception {
    return learn(clicks, 100);
  }

  static List<Integer> bits(Scorer scorer) throws ChordException, IOException {
    FloatBuffer scores = Buffers.floatsOf(37);
    scorer.rerank(Material.ids("sasrec/full/history.i32"), Material.ids("sasrec/full/candidates.i32"), scores);
    List<Integer> bits = new ArrayList<Integer>();
    for (int each : Material.bits(Material.values(scores))) {
      bits.add(each);
    }
    return bits;
  }

  /** What a fresh start finds: counter, source, and which strategy and user vector of sasrec's its scores are of. */
  String found() throws ChordException, IOException {
    try (ChordStore.Session session = open()) {
      return session.bundle().counter() + " " + session.source() + " " + answers(session.engine());
    }
  }

  static String answers(Engine engine) throws ChordException, IOException {
    FloatBuffer scores = Buffers.floatsOf(37);
    engine.rerank(Material.ids("sasrec/full/history.i32"), Material.ids("sasrec/full/candidates.i32"), scores);
    for (String whose : new String[] {"plain-nobody", "mixed-nobody", "off-nobody", "plain-mixed", "mixed-mixed", "off-mixed"}) {
      if (Arrays.equals(Material.values("sasrec/full/" + whose + "/scores.f32"), Material.values(scores))) {
        return whose;
      }
    }
    return "another model's";
  }

  /** All files and their bytes, less the lock. */
  String listing() throws IOException {
    StringBuilder all = new StringBuilder();
    for (String name : new TreeSet<String>(Arrays.asList(folder.list()))) {
      if (!name.equals("lock")) {
        all.append(name).append(' ').append(Arrays.hashCode(Disk.read(new File(folder, name), 1 << 20))).append('\n');
      }
    }
    return all.toString();
  }

  void assertHolds(int most) {
    String[] names = folder.list();
    assertTrue(Arrays.toString(names), names.length <= most);
  }

  /** The newest file whose name begins so. */
  File file(String prefix) {
    File found = null;
    for (String name : folder.list()) {
      if (name.startsWith(prefix) && (found == null || StoreFolder.number(name) > StoreFolder.number(found.getName()))) {
        found = new File(folder, name);
      }
    }
    return found;
  }
}
