package io.chordkit.demo;

import android.content.Context;
import android.content.res.AssetManager;
import io.chordkit.ChordException;
import io.chordkit.ChordStore;
import io.chordkit.android.Assets;
import io.chordkit.demo.logic.AcceptedKeys;
import io.chordkit.demo.logic.Demo;
import io.chordkit.demo.logic.DemoException;
import io.chordkit.demo.logic.DemoUsers;
import io.chordkit.demo.logic.Verifiers;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** What the build puts into the app: a bundle, the public keys that it may be signed with, and whom the app shows. */
final class DemoAssets {
  private static final String BUNDLE = "bundle.chord";
  private static final String KEYS = "trusted_keys";
  private static final String PEOPLE = "demo_users.json";

  /** The store's folder, where no backup looks. */
  private static final String STORE = "chord";

  private DemoAssets() {}

  static DemoUsers people(Context context) throws ChordException, IOException {
    return DemoUsers.parse(read(context.getAssets(), PEOPLE, DemoUsers.MOST_BYTES));
  }

  static Demo demo(Context context, DemoUsers people) throws ChordException, IOException {
    AssetManager assets = context.getAssets();
    TrustedKeys keys = AcceptedKeys.parse(read(assets, KEYS, AcceptedKeys.MOST_BYTES));
    Ed25519Verifier verifier = Verifiers.best();
    ChordStore.Options options = new ChordStore.Options().shipped(Assets.bundle(assets, BUNDLE));
    return new Demo(new ChordStore(new File(context.getNoBackupFilesDir(), STORE), keys, verifier, options), keys, verifier, people);
  }

  private static byte[] read(AssetManager assets, String name, int most) throws ChordException, IOException {
    try (InputStream stream = assets.open(name)) {
      return read(stream, most);
    } catch (FileNotFoundException absent) {
      throw new DemoException(
          "assets/" + name + ": is not in this app; build it with a bundle, its public key and the demo_users.json of its `chordkit demo`");
    }
  }

  /** To the end, or one byte more than {@code most}, which whoever parses it then refuses. */
  static byte[] read(InputStream stream, int most) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    byte[] part = new byte[8192];
    int count;
    while (all.size() <= most && (count = stream.read(part, 0, Math.min(part.length, most + 1 - all.size()))) > 0) {
      all.write(part, 0, count);
    }
    return all.toByteArray();
  }
}
