package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.junit.Test;

public class StrategyPictureTest {
  private static final String TWO =
      "{\"name\":\"q\",\"out_channels\":5,\"in_features\":10,\"offset\":0},"
          + "{\"name\":\"k\",\"out_channels\":3,\"in_features\":20,\"offset\":5}";

  private static ByteBuffer manifest(String layers) {
    return ByteBuffer.wrap(("{\"backbone\":{\"channels\":[" + layers + "]}}").getBytes(StandardCharsets.UTF_8));
  }

  @Test
  public void channelsOfOneWidthAreOneRun() throws Exception {
    StrategyPicture picture = StrategyPicture.of(manifest(TWO), new byte[] {8, 8, 2, 0, 0, 4, 4, 4});
    assertEquals(2, picture.layers.size());
    LayerStrip first = picture.layers.get(0);
    assertEquals("q", first.name);
    assertEquals(5, first.channels);
    int[][] runs = {{8, 2}, {2, 1}, {0, 2}};
    assertEquals(runs.length, first.runs());
    for (int i = 0; i < runs.length; i++) {
      assertEquals(runs[i][0], first.width(i));
      assertEquals(runs[i][1], first.length(i));
    }
    assertEquals(0.4, first.share(8), 1e-12);
    assertEquals(0, first.share(4), 0);
    // A width that goes on in the next layer is another run there.
    assertEquals(1, picture.layers.get(1).runs());
    assertEquals(3, picture.layers.get(1).length(0));
  }

  @Test
  public void sharesCountChannelsAndBitsCountWeights() throws Exception {
    StrategyPicture picture = StrategyPicture.of(manifest(TWO), new byte[] {8, 8, 2, 0, 0, 4, 4, 4});
    assertEquals(2 / 8.0, picture.share(8), 1e-12);
    assertEquals(3 / 8.0, picture.share(4), 1e-12);
    assertEquals(1 / 8.0, picture.share(2), 1e-12);
    assertEquals(2 / 8.0, picture.share(0), 1e-12);
    assertEquals((2 * 8 * 10 + 2 * 10 + 3 * 4 * 20) / 110.0, picture.averageBits(), 1e-12);
  }

  @Test
  public void aTableOfOtherChannelsIsRefused() throws Exception {
    byte[] widths = {8, 8, 2, 0, 0, 4, 4, 4};
    String[] bad = {
      "",
      TWO.replace("\"offset\":5", "\"offset\":4"),
      TWO.replace("\"out_channels\":3", "\"out_channels\":2"),
      TWO.replace("\"out_channels\":3", "\"out_channels\":4"),
      TWO.replace("\"out_channels\":5", "\"out_channels\":-5"),
      TWO.replace("\"out_channels\":3", "\"out_channels\":2147483647"),
      TWO.replace("\"in_features\":20", "\"in_features\":0"),
      TWO.replace("\"name\":\"k\",", ""),
      "7",
    };
    for (String layers : bad) {
      try {
        StrategyPicture.of(manifest(layers), widths);
        fail(layers);
      } catch (DemoException expected) {
        assertTrue(expected.getMessage().startsWith("manifest.json: backbone.channels: "));
        assertTrue(expected.getMessage().endsWith("; make the bundle anew"));
      }
    }
    StringBuilder deep = new StringBuilder();
    for (int i = 0; i < 100000; i++) {
      deep.append('[');
    }
    for (String text : new String[] {"", "{}", "[", deep.toString(), "{\"backbone\":7}"}) {
      try {
        StrategyPicture.of(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)), widths);
        fail(text);
      } catch (DemoException expected) {
        assertTrue(expected.getMessage().startsWith("manifest.json: backbone.channels: "));
      }
    }
  }
}
