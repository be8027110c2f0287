package io.chordkit.android;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import io.chordkit.Bundle;
import io.chordkit.ChordException;
import io.chordkit.ChordStore;
import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** A bundle among the app's assets, read where it lies in the APK: nothing is copied, neither to the disk nor into memory. */
public final class Assets {
  private Assets() {}

  /**
   * Maps an asset that lies uncompressed in the APK, as {@code androidResources { noCompress += "chord" }} makes those called {@code *.chord}.
   * Nothing but an update of the app changes it, and that one leaves the mapping as it is.
   *
   * @throws IOException there is none of this name, or it is compressed
   */
  public static ByteBuffer map(AssetManager assets, String name) throws IOException {
    try (AssetFileDescriptor place = assets.openFd(name);
        FileInputStream stream = new FileInputStream(place.getFileDescriptor())) {
      return stream.getChannel().map(FileChannel.MapMode.READ_ONLY, place.getStartOffset(), place.getLength());
    } catch (FileNotFoundException error) {
      // Android says the same of an asset that is not there and of one that is compressed.
      throw new IOException(
          "assets/" + name + ": is not there, or is compressed; add noCompress += \"chord\" to androidResources of the app's build file", error);
    }
  }

  /** The bundle that ships with the app, for {@link ChordStore.Options#shipped}. */
  public static ChordStore.Shipped bundle(final AssetManager assets, final String name) {
    return new ChordStore.Shipped() {
      @Override
      public Bundle open(TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum) throws ChordException, IOException {
        return Bundle.open(map(assets, name), keys, verifier, minimum);
      }
    };
  }
}
