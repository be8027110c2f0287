package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertFalse;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import org.junit.Test;

/** Personal files are the strategy on the master, bit for bit, and damaged ones nothing at all. */
public final class PersonalFileTest {
  @Test
  public void itScoresAsTheStrategyOnItsMaster() throws Exception {
    for (String model : new String[] {"sasrec", "caser"}) {
      for (String strategy : new String[] {"mixed", "off", "narrow"}) {
        PersonalFile personal = PersonalFile.open(Material.map(model + "/personal/" + strategy + ".chrp"));
        Engine engine = personal.engine();
        Engine first = Engine.open(Material.map(model + "/master.chrm"));
        try {
          assertArrayEquals(first.fingerprint(), personal.madeFrom());
          assertFalse(Arrays.equals(first.fingerprint(), engine.fingerprint()));
          for (String name : new String[] {"full", "short"}) {
            IntBuffer candidates = Material.ids(model + "/" + name + "/candidates.i32");
            FloatBuffer scores = Buffers.floatsOf(candidates.remaining());
            engine.rerank(Material.ids(model + "/" + name + "/history.i32"), candidates, scores);
            float[] wanted = Material.values(model + "/" + name + "/" + strategy + "-nobody/scores.f32");
            assertArrayEquals(Material.bits(wanted), Material.bits(Material.values(scores)));
          }
        } finally {
          engine.close();
          first.close();
        }
      }
    }
  }

  @Test
  public void aDamagedFileIsRefused() throws Exception {
    byte[] data = Material.bytes("sasrec/personal/mixed.chrp");
    data[data.length - 1] ^= 1;
    final ByteBuffer damaged = Material.direct(data);
    new Attempt() {
      @Override
      public void run() throws Exception {
        PersonalFile.open(damaged);
      }
    }.assertThrows(EngineException.BadMaster.class, "personal file: the checksum is wrong, copy the file again");
  }

  @Test
  public void aFileOnTheHeap() throws Exception {
    final ByteBuffer heap = ByteBuffer.wrap(Material.bytes("sasrec/personal/mixed.chrp"));
    new Attempt() {
      @Override
      public void run() throws Exception {
        PersonalFile.open(heap);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "file: the buffer is not direct");
  }
}
