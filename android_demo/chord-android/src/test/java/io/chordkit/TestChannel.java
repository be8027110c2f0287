package io.chordkit;

import io.chordkit.release.Mirror;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.Signature;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A release channel that is made here, and a mirror of it that remembers what it was asked for. */
final class TestChannel implements Mirror {
  /** Within the time that everything here is good for. */
  static final long NOW = 1800000000L;

  private static final String LATE = "2100-01-01T00:00:00Z";
  private static final String SALT = "00112233445566778899aabbccddeeff";

  final Map<String, byte[]> files = new HashMap<String, byte[]>();
  final List<String> asked = new ArrayList<String>();
  final Map<String, String> targets = new TreeMap<String, String>();
  String killed = "";
  String expires = LATE;
  String cohort = "";
  int basisPoints = 10000;
  private final KeyPair key;
  private KeyPair targetsKey;
  private int roots;
  private int version;

  TestChannel() throws Exception {
    key = keyPair();
    targetsKey = key;
    putRoot();
  }

  /** The next root has another key for targets. */
  TestChannel changeKeyOfTargets() throws Exception {
    targetsKey = keyPair();
    putRoot();
    return this;
  }

  private void putRoot() throws Exception {
    roots++;
    String keys = "{" + named(key) + (targetsKey == key ? "" : "," + named(targetsKey)) + "}";
    String role = role(key);
    String roles = "{\"root\":" + role + ",\"snapshot\":" + role + ",\"targets\":" + role(targetsKey) + ",\"timestamp\":" + role + "}";
    String root = "\"consistent_snapshot\":true,\"expires\":\"" + LATE + "\",\"keys\":" + keys + ",\"roles\":" + roles;
    files.put("metadata/" + roots + ".root.json", signed("{\"_type\":\"root\"," + root + ",\"spec_version\":\"1.0.31\",\"version\":" + roots + "}", key));
  }

  private String named(KeyPair one) {
    String keyval = "{\"public\":\"" + hex(Arrays.copyOfRange(one.getPublic().getEncoded(), 12, 44)) + "\"}";
    return "\"" + keyId(one) + "\":{\"keytype\":\"ed25519\",\"keyval\":" + keyval + ",\"scheme\":\"ed25519\"}";
  }

  private String role(KeyPair one) {
    return "{\"keyids\":[\"" + keyId(one) + "\"],\"threshold\":1}";
  }

  byte[] root() {
    return files.get("metadata/1.root.json");
  }

  /** Puts a bundle of the shop out under a number; its target has the number in its name. */
  TestChannel release(int number, String shop) throws Exception {
    byte[] data = Material.bytes("store/" + shop + ".chord");
    Bundle bundle = Bundle.open(Material.direct(data), Shop.keys(), Shop.verifier(), 0);
    return release(number, data, bundle.counter(), Hex.of(bundle.fingerprint()));
  }

  TestChannel release(int number, byte[] data, long counter, String fingerprint) throws Exception {
    String hash = hash(data);
    String stage = ",\"stage\":{\"basis_points\":" + basisPoints + ",\"salt\":\"" + SALT + "\"}}";
    String named = "{\"bundle\":\"" + hash + "\"," + cohort + "\"counter\":" + counter + ",\"fingerprint\":\"" + fingerprint + "\",\"release\":" + number;
    return target("shop-" + number + ".chord", data, named + stage);
  }

  /** A difference file that says what it is made of. */
  TestChannel difference(int number, byte[] data, byte[] base, byte[] result) throws Exception {
    String ours = "{\"difference\":{\"base\":\"" + hash(base) + "\",\"release\":" + number + ",\"result\":\"" + hash(result) + "\"}}";
    return target("shop-" + number + ".chordd", data, ours);
  }

  private TestChannel target(String name, byte[] data, String ours) throws Exception {
    String hash = hash(data);
    String hashes = "\"hashes\":{\"sha256\":\"" + hash + "\"},\"length\":" + data.length;
    targets.put(name, "{\"custom\":{\"chordkit\":" + ours + "}," + hashes + "}");
    files.put("targets/" + hash + "." + name, data);
    return this;
  }

  /** Signs what there is now. */
  TestChannel sign() throws Exception {
    version++;
    StringBuilder all = new StringBuilder();
    for (Map.Entry<String, String> each : targets.entrySet()) {
      all.append(all.length() == 0 ? "" : ",").append('"').append(each.getKey()).append("\":").append(each.getValue());
    }
    String ours = ",\"chordkit\":{\"killed\":[" + killed + "]}";
    byte[] last = put(version + ".targets.json", "targets", ours, LATE, "\"targets\":{" + all + "},");
    byte[] middle = put(version + ".snapshot.json", "snapshot", "", LATE, meta("targets.json", last));
    put("timestamp.json", "timestamp", "", expires, meta("snapshot.json", middle));
    return this;
  }

  /** What it holds now, as a mirror that stays so. */
  Mirror frozen() {
    final Map<String, byte[]> copy = new HashMap<String, byte[]>(files);
    return new Mirror() {
      @Override
      public InputStream fetch(String path, long most) {
        byte[] data = copy.get(path);
        return data == null ? null : new ByteArrayInputStream(data);
      }
    };
  }

  @Override
  public InputStream fetch(String path, long most) throws IOException {
    asked.add(path);
    byte[] data = files.get(path);
    return data == null ? null : new ByteArrayInputStream(data);
  }

  /** How many files below targets/ were asked for, of this ending. */
  int fetched(String ending) {
    int count = 0;
    for (String path : asked) {
      count += path.startsWith("targets/") && path.endsWith(ending) ? 1 : 0;
    }
    return count;
  }

  private String meta(String name, byte[] data) throws Exception {
    String about = "{\"hashes\":{\"sha256\":\"" + hash(data) + "\"},\"length\":" + data.length + ",\"version\":" + version + "}";
    return "\"meta\":{\"" + name + "\":" + about + "},";
  }

  private byte[] put(String name, String role, String ours, String until, String rest) throws Exception {
    boolean afterSpecification = rest.startsWith("\"targets\"");
    String end = afterSpecification ? "\"spec_version\":\"1.0.31\"," + rest : rest + "\"spec_version\":\"1.0.31\",";
    byte[] file = signed("{\"_type\":\"" + role + "\"" + ours + ",\"expires\":\"" + until + "\"," + end + "\"version\":" + version + "}", role.equals("targets") ? targetsKey : key);
    files.put("metadata/" + name, file);
    return file;
  }

  private byte[] signed(String canonical, KeyPair by) throws Exception {
    Signature signer = Signature.getInstance("Ed25519");
    signer.initSign(by.getPrivate());
    signer.update(canonical.getBytes(StandardCharsets.US_ASCII));
    String signatures = "{\"signatures\":[{\"keyid\":\"" + keyId(by) + "\",\"sig\":\"" + hex(signer.sign()) + "\"}],\"signed\":";
    return (signatures + canonical + "}").getBytes(StandardCharsets.US_ASCII);
  }

  private String keyId(KeyPair one) {
    return new String(new char[64]).replace('\0', one == key ? 'a' : 'b');
  }

  private static KeyPair keyPair() throws Exception {
    return KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
  }

  static String hash(byte[] data) throws Exception {
    return hex(MessageDigest.getInstance("SHA-256").digest(data));
  }

  static String hex(byte[] data) {
    return String.format("%0" + 2 * data.length + "x", new BigInteger(1, data));
  }
}
