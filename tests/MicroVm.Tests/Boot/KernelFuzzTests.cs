using System.Diagnostics;
using MicroVm.Boot;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Boot;

/// <summary>Ten thousand damaged kernels: each is loaded or refused with a typed error, never anything else, and soon.</summary>
public sealed class KernelFuzzTests(BootFixture fixture) : IClassFixture<BootFixture>
{
    private const int Cases = 10_000;

    [Fact]
    public void G1_DamagedKernelsAreLoadedOrRefused()
    {
        byte[][] seeds = Seeds();
        Random random = new(20_261_123);
        int loaded = 0, refused = 0;
        long slowest = 0;
        string path = Path.Combine(fixture.Folder, "fuzz");
        for (int i = 0; i < Cases; i++)
        {
            byte[] image = Mutate(random, seeds[i % seeds.Length]);
            File.WriteAllBytes(path, image);
            using GuestMemory memory = GuestMemory.Allocate(32 << 20, 0xc000_0000, 0x1_0000_0000);
            long start = Stopwatch.GetTimestamp();
            try
            {
                fixture.LoadFile(path, memory);
                loaded++;
            }
            catch (MicroVmException e) when (e.Kind == FailureKind.Image)
            {
                refused++;
            }
            slowest = Math.Max(slowest, Stopwatch.GetElapsedTime(start).Ticks);
        }
        Assert.Equal(Cases, loaded + refused);
        // Both happen, or nothing was tested.
        Assert.True(loaded > Cases / 100 && refused > Cases / 10, $"{loaded} loaded, {refused} refused");
        Assert.True(TimeSpan.FromTicks(slowest) < TimeSpan.FromSeconds(2), $"slowest {TimeSpan.FromTicks(slowest)}");
    }

    private static byte[][] Seeds()
    {
        byte[] small = TestImages.Kernel(size: 4000, gap: 0x10000), plain = TestImages.Kernel(pvh: false, size: 4000, gap: 0x10000);
        List<byte[]> seeds = [small, plain, TestImages.OnePage()];
        foreach (string compression in (string[])["gzip", "zstd", "lz4", "bzip2"]) seeds.Add(TestImages.Packed(compression, small));
        if (TestImages.Has("xz"))
            foreach (string compression in (string[])["xz", "lzma", "xz-blocks"]) seeds.Add(TestImages.Packed(compression, plain));
        return [.. seeds];
    }

    // Mostly where the headers are; interesting values as often as random ones; cut, grown or spliced now and then.
    private static byte[] Mutate(Random random, byte[] seed)
    {
        byte[] image = [.. seed];
        for (int n = random.Next(1, 5); n > 0; n--)
        {
            int at = random.Next(3) switch { 0 => random.Next(image.Length), 1 => random.Next(Math.Min(image.Length, 0x280)), _ => Math.Min(image.Length - 1, HotSpot(random)) };
            byte value = random.Next(4) switch { 0 => 0, 1 => 0xff, 2 => (byte)(1 << random.Next(8)), _ => (byte)random.Next(256) };
            int run = random.Next(4) == 0 ? random.Next(1, 9) : 1;
            for (int i = at; i < Math.Min(at + run, image.Length); i++) image[i] = value;
        }
        return random.Next(12) switch
        {
            0 => image[..random.Next(1, image.Length)],
            1 => [.. image, .. new byte[random.Next(1, 5000)]],
            _ => image,
        };
    }

    // Program headers, notes, setup header, start and end of payloads.
    private static int HotSpot(Random random) => random.Next(5) switch
    {
        0 => random.Next(16, 64), 1 => random.Next(64, 240), 2 => random.Next(0x1f1, 0x268), 3 => random.Next(1088, 1120), _ => random.Next(116, 160),
    };
}
