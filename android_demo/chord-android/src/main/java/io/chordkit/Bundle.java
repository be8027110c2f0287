package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.trust.BundleVerifier;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import io.chordkit.trust.VerifiedBundle;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.ReadableByteChannel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A bundle (docs/bundle.md) that an accepted key signed, and what is in it. Members are views of the file, never copies. Any thread.
 *
 * <p>What was given out stays good after {@link #close}: memory goes back when nothing refers to it any more, as Java's buffers do.
 */
public final class Bundle implements AutoCloseable {
  /** The longest that a buffer can be; the format's own limit is 4 GiB. */
  public static final int LONGEST = Integer.MAX_VALUE;

  private static final String MASTER = "master.chrm";
  private static final String ITEMS = "items.json";
  private static final String VECTORS = "vectors.safetensors";
  private static final String STRATEGIES = "strategies/";
  private static final String USER_VECTORS = "user_vectors/";

  private final VerifiedBundle verified;
  private final Map<String, Artifact> artifacts = new LinkedHashMap<String, Artifact>();
  private final int size;
  private final float temperature;

  /** The section of the manifest with the members that hold them. */
  @Nullable private final Json words;

  @Nullable private Items items;
  @Nullable private TestVectors vectors;

  private Bundle(VerifiedBundle verified) throws BundleException {
    this.verified = verified;
    Json manifest = Json.parse(verified.manifest(), "manifest.json");
    for (Json entry : manifest.objects("artifacts")) {
      Artifact artifact = new Artifact(entry);
      artifacts.put(artifact.name(), artifact);
    }
    size = (int) Math.min(manifest.object("dataset").count("items"), Integer.MAX_VALUE - 2);
    words = manifest.objectOrNull("words");
    Json backbone = manifest.object("backbone");
    temperature = backbone.has("temperature") ? (float) backbone.number("temperature") : 1;
    if (!(temperature > 0) || Float.isInfinite(temperature)) {
      throw new BundleException("manifest.json: backbone: temperature: " + temperature + " is not possible; make the bundle anew");
    }
  }

  /**
   * Verifies a bundle down to the SHA-256 of every member.
   *
   * @param data a direct buffer, from its position to its limit; it must stay as it is while anything of the bundle is used
   * @param keys whose signatures are accepted
   * @param verifier the arithmetic of Ed25519; null = nothing is accepted
   * @param minimum the lowest counter that is accepted: that of the bundle in use; 0 = any
   * @throws io.chordkit.trust.VerificationException it is damaged, not signed by an accepted key, or older
   * @throws BundleException it is signed, and its manifest is not one that this library reads
   */
  public static Bundle open(ByteBuffer data, TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum) throws ChordException {
    return new Bundle(new BundleVerifier(keys, verifier).open(data, minimum));
  }

  /**
   * Maps a file and verifies it. Only for a file where nobody else can write: one that is changed later is read as it then is, and one that is
   * cut short ends the process. {@link #copy(InputStream, int, TrustedKeys, Ed25519Verifier, long)} reads every other.
   */
  public static Bundle map(File file, TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum)
      throws ChordException, IOException {
    return open(mapped(file), keys, verifier, minimum);
  }

  /** Reads a file into memory and verifies the copy. */
  public static Bundle copy(File file, int longest, TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum)
      throws ChordException, IOException {
    try (InputStream stream = new FileInputStream(file)) {
      return copy(stream, longest, keys, verifier, minimum);
    }
  }

  /**
   * Reads a stream to its end, which must come within {@code longest} bytes, and verifies the copy. The stream is not closed.
   *
   * @throws IOException it cannot be read, or is longer
   */
  public static Bundle copy(InputStream stream, int longest, TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum)
      throws ChordException, IOException {
    return open(read(stream, longest), keys, verifier, minimum);
  }

  /** The number that grows from release to release. */
  public long counter() {
    return verified.counter();
  }

  /** The 8 bytes of the backbone that every strategy for it carries. */
  public byte[] fingerprint() {
    return verified.fingerprint();
  }

  /** What {@link Learning#temperature} wants: what scores are divided by to be logits of what people choose; 1 where the bundle does not say. */
  public float temperature() {
    return temperature;
  }

  /** Identifier of the key that signed, 8 bytes. */
  public byte[] keyId() {
    return verified.keyId();
  }

  /** {@code manifest.json}, which is what was signed (docs/bundle.md): UTF-8, read-only. */
  public ByteBuffer manifest() {
    return verified.manifest();
  }

  /** The file that it was opened from, direct and read-only. */
  ByteBuffer file() {
    return verified.file();
  }

  /** The master weights, direct and read-only: what {@link Engine#open} takes. */
  public ByteBuffer master() throws BundleException {
    return member(MASTER);
  }

  /** Names of the strategies, in the order of the file. */
  public List<String> strategies() {
    return named(STRATEGIES, ".chrd");
  }

  /** A strategy on the wire format, for {@link Engine#adopt}. */
  public byte[] strategy(String name) throws BundleException {
    return bytes(STRATEGIES + name + ".chrd");
  }

  /** Names of the user vectors, in the order of the file; a strategy of the same name is the same user's. */
  public List<String> userVectors() {
    return named(USER_VECTORS, ".chru");
  }

  /** A user vector on the wire format, for {@link Engine#adoptUser}. */
  public byte[] userVector(String name) throws BundleException {
    return bytes(USER_VECTORS + name + ".chru");
  }

  /** Names of the artifacts, in the order of the manifest. */
  public List<String> artifacts() {
    return Collections.unmodifiableList(new ArrayList<String>(artifacts.keySet()));
  }

  /** What the manifest says of an artifact. */
  public Artifact about(String artifact) throws BundleException {
    Artifact found = artifacts.get(artifact);
    if (found == null) {
      throw new BundleException("the bundle has no artifact '" + artifact + "'; it has " + artifacts.keySet());
    }
    return found;
  }

  /** The file of an artifact, direct and read-only: what its runtime loads. That of a native one is the master. */
  public ByteBuffer artifact(String name) throws BundleException {
    return member(about(name).member);
  }

  /** The catalogue; read at the first call. */
  public synchronized Items items() throws BundleException {
    if (items == null) {
      items = new Items(member(ITEMS), size, words("names"), words("categories"));
    }
    return items;
  }

  @Nullable
  private Words words(String which) throws BundleException {
    String member = words == null ? null : words.textOrNull(which);
    return member == null ? null : new Words(member(member), size, member);
  }

  /** The test vectors; read and checked at the first call. */
  public synchronized TestVectors testVectors() throws BundleException {
    if (vectors == null) {
      vectors = new TestVectors(member(VECTORS), size);
    }
    return vectors;
  }

  /**
   * A new engine over the master; all channels at 8 bits until a strategy is adopted. The caller closes it; it goes on after this is closed.
   *
   * @throws EngineException.BadMaster the master is of an architecture that this engine does not run
   */
  public Engine engine() throws ChordException {
    return Engine.open(master());
  }

  /** Nothing that has to be given back by hand; for try-with-resources, and so that a later version may have something. */
  @Override
  public void close() {}

  static ByteBuffer mapped(File file) throws IOException {
    try (FileInputStream stream = new FileInputStream(file)) {
      FileChannel channel = stream.getChannel();
      if (channel.size() > LONGEST) {
        throw new IOException(file + ": has " + channel.size() + " bytes, and " + LONGEST + " are the most that can be mapped");
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
    }
  }

  private static ByteBuffer read(InputStream stream, int longest) throws IOException {
    ReadableByteChannel channel = Channels.newChannel(stream);
    ByteBuffer data = ByteBuffer.allocateDirect(Math.max(1, Math.min(longest, Math.max(stream.available(), 1 << 16))));
    while (channel.read(data) >= 0) {
      if (!data.hasRemaining()) {
        if (data.capacity() >= longest) {
          if (stream.read() >= 0) {
            throw new IOException("the bundle is longer than the " + longest + " bytes that are allowed");
          }
          break;
        }
        ByteBuffer more = ByteBuffer.allocateDirect((int) Math.min(longest, 2L * data.capacity()));
        data.flip();
        data = more.put(data);
      }
    }
    data.flip();
    return data;
  }

  private List<String> named(String prefix, String suffix) {
    List<String> names = new ArrayList<String>();
    for (String member : verified.members()) {
      if (member.startsWith(prefix) && member.endsWith(suffix)) {
        names.add(member.substring(prefix.length(), member.length() - suffix.length()));
      }
    }
    return names;
  }

  private ByteBuffer member(String name) throws BundleException {
    ByteBuffer found = verified.member(name);
    if (found == null) {
      throw new BundleException("the bundle has no member '" + name + "'; it has " + verified.members());
    }
    return found;
  }

  private byte[] bytes(String name) throws BundleException {
    ByteBuffer found = member(name);
    byte[] copy = new byte[found.remaining()];
    found.get(copy);
    return copy;
  }
}
