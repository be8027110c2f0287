package io.chordkit.release;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import io.chordkit.Material;
import io.chordkit.trust.PlatformEd25519;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.junit.Test;

/** Channels and mirrors of every kind (tests/golden/release.json), and the answers that Python gives to them. */
public final class ChannelClientTest {
  private static final Map<Class<?>, String> CHECKS = new HashMap<Class<?>, String>();

  static {
    CHECKS.put(ReleaseException.NotCanonical.class, "spelling");
    CHECKS.put(ReleaseException.Malformed.class, "malformed");
    CHECKS.put(ReleaseException.WrongLength.class, "length");
    CHECKS.put(ReleaseException.WrongHash.class, "hash");
    CHECKS.put(ReleaseException.Untrusted.class, "signature");
    CHECKS.put(ReleaseException.WrongVersion.class, "version");
    CHECKS.put(ReleaseException.Expired.class, "expired");
    CHECKS.put(ReleaseException.Missing.class, "missing");
  }

  private final List<String> wrong = new ArrayList<String>();
  private JSONObject files;
  private String step;

  @Test
  public void everyUpdateIsAcceptedOrRefusedByTheCheckNamed() throws Exception {
    JSONObject vectors = new JSONObject(Material.text("release.json"));
    files = vectors.getJSONObject("files");
    JSONArray cases = vectors.getJSONArray("cases");
    for (int i = 0; i < cases.length(); i++) {
      run(cases.getJSONObject(i));
    }
    assertEquals(Collections.emptyList(), wrong);
    assertTrue(cases.length() > 200);
  }

  @Test
  public void withoutAVerifierNothingIsAccepted() throws Exception {
    files = new JSONObject(Material.text("release.json")).getJSONObject("files");
    try {
      new ChannelClient(file("root 1"), null, null);
    } catch (ReleaseException.Untrusted refused) {
      assertEquals("root.json: 0 valid signatures, and root 1 wants 2; give an Ed25519 verifier", refused.getMessage());
      return;
    }
    throw new AssertionError("a root was accepted");
  }

  private void run(JSONObject one) throws Exception {
    byte[] kept = null;
    JSONArray steps = one.getJSONArray("steps");
    for (int i = 0; i < steps.length(); i++) {
      step = one.getString("case") + ", step " + (i + 1);
      JSONObject wanted = steps.getJSONObject(i);
      Mirror mirror = mirror(wanted.getJSONObject("mirror"));
      ChannelClient client =
          new ChannelClient(file(one.getString("root")), kept == null ? null : KeptChannel.parse(kept), new PlatformEd25519());
      String answer;
      try {
        Targets offered = client.refresh(mirror, wanted.getLong("now"));
        answer = "accepted " + versions(client);
        same(wanted.optBoolean("recovered", client.recovered()), client.recovered());
        compare(offered, wanted, mirror);
      } catch (ReleaseException refused) {
        String role = wanted.optString("role", "nothing");
        answer = "refused " + CHECKS.get(refused.getClass()) + (refused.getMessage().contains(role + ".json: ") ? " of " + role : refused.getMessage());
      }
      JSONObject accepted = wanted.optJSONObject("accepted");
      same(accepted == null ? "refused " + wanted.get("refused") + " of " + wanted.get("role") : "accepted " + versions(accepted), answer);
      kept = client.kept().toBytes();
      same(wanted.getLong("root_kept"), SignedFile.parse("root", KeptChannel.parse(kept).root).version);
    }
  }

  private void compare(Targets offered, JSONObject wanted, Mirror mirror) throws Exception {
    if (wanted.has("releases")) {
      List<Object> numbers = new ArrayList<Object>();
      for (Release each : offered.releases()) {
        numbers.add(each.number());
      }
      same(longs(wanted.getJSONArray("releases")).toString(), numbers.toString());
    }
    if (wanted.has("killed")) {
      List<Killed> killed = new ArrayList<Killed>();
      for (JSONObject each : objects(wanted.getJSONArray("killed"))) {
        String key = each.has("key") ? each.getString("key") : null;
        killed.add(new Killed(each.getString("fingerprint"), key, each.getLong("from"), each.getLong("to")));
      }
      same(killed, offered.killed());
    }
    if (wanted.has("differences")) {
      List<JSONObject> differences = objects(wanted.getJSONArray("differences"));
      same(differences.size(), offered.differences().size());
      for (int i = 0; i < Math.min(differences.size(), offered.differences().size()); i++) {
        Difference found = offered.differences().get(i);
        String words = found.file().name() + found.file().length() + found.file().sha256() + found.base() + found.result();
        JSONObject each = differences.get(i);
        same(each.getString("name") + each.getLong("length") + each.get("sha256") + each.get("base") + each.get("result"), words);
      }
    }
    for (JSONObject each : wanted.has("choices") ? objects(wanted.getJSONArray("choices")) : new ArrayList<JSONObject>()) {
      JSONObject phone = each.getJSONObject("phone");
      String[] runtimes = new String[phone.getJSONArray("runtimes").length()];
      for (int i = 0; i < runtimes.length; i++) {
        runtimes[i] = phone.getJSONArray("runtimes").getString(i);
      }
      PhoneFacts facts = new PhoneFacts(phone.getString("app"), phone.getString("abi"), phone.getString("device"), runtimes);
      byte[] installId = Hexadecimal.bytes(each.getString("install_id"));
      Release chosen = offered.choose(facts, installId, each.getLong("kept"), longs(each.getJSONArray("failed")));
      same(each.isNull("chosen") ? null : each.getLong("chosen"), chosen == null ? null : chosen.number());
    }
    for (JSONObject each : wanted.has("bundles") ? objects(wanted.getJSONArray("bundles")) : new ArrayList<JSONObject>()) {
      same(each.getString("check"), fetched(offered, each.getLong("release"), mirror));
    }
  }

  private static String fetched(Targets offered, long number, Mirror mirror) throws Exception {
    for (Release release : offered.releases()) {
      if (release.number() == number) {
        try {
          ByteArrayOutputStream out = new ByteArrayOutputStream();
          release.file().fetch(mirror, out);
          return Hexadecimal.sha256(out.toByteArray()).equals(release.file().sha256()) ? "passed" : "other bytes";
        } catch (ReleaseException refused) {
          return CHECKS.get(refused.getClass());
        }
      }
    }
    return "no such release";
  }

  private void same(Object wanted, Object found) {
    if (wanted == null ? found != null : !wanted.equals(found)) {
      wrong.add("\n" + step + ": " + wanted + " was wanted, and it is " + found);
    }
  }

  private static String versions(ChannelClient client) throws ReleaseException {
    KeptChannel kept = client.kept();
    String roots = "root " + SignedFile.parse("root", kept.root).version + " timestamp " + SignedFile.parse("timestamp", kept.timestamp).version;
    String rest = " snapshot " + SignedFile.parse("snapshot", kept.snapshot).version;
    return roots + rest + " targets " + SignedFile.parse("targets", kept.targets).version;
  }

  private static String versions(JSONObject accepted) throws JSONException {
    StringBuilder all = new StringBuilder();
    for (String role : Arrays.asList("root", "timestamp", "snapshot", "targets")) {
      all.append(all.length() == 0 ? "" : " ").append(role).append(' ').append(accepted.getLong(role));
    }
    return all.toString();
  }

  private Mirror mirror(final JSONObject paths) {
    return new Mirror() {
      @Override
      public InputStream fetch(String path, long most) {
        return paths.has(path) ? new ByteArrayInputStream(file(paths.optString(path))) : null;
      }
    };
  }

  private byte[] file(String label) {
    try {
      String text = files.getString(label);
      return text.startsWith("hex:") ? Hexadecimal.bytes(text.substring(4)) : text.getBytes("UTF-8");
    } catch (JSONException | java.io.UnsupportedEncodingException absent) {
      throw new AssertionError(label);
    }
  }

  private static List<Long> longs(JSONArray list) throws JSONException {
    List<Long> all = new ArrayList<Long>();
    for (int i = 0; i < list.length(); i++) {
      all.add(list.getLong(i));
    }
    return all;
  }

  private static List<JSONObject> objects(JSONArray list) throws JSONException {
    List<JSONObject> all = new ArrayList<JSONObject>();
    for (int i = 0; i < list.length(); i++) {
      all.add(list.getJSONObject(i));
    }
    return all;
  }
}
