using System.Buffers.Binary;
using System.Diagnostics;
using MicroVm.Boot;
using Xunit;

namespace MicroVm.Tests.Boot;

/// <summary>Row G1 of the catalogue: each is refused with the file and the field in the message, quickly and without much memory.</summary>
public sealed class BadKernelTests(BootFixture fixture) : IClassFixture<BootFixture>
{
    private static byte[] With(byte[] image, int offset, params byte[] bytes)
    {
        bytes.CopyTo(image, offset);
        return image;
    }

    private static byte[] With64(byte[] image, int offset, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(offset), value);
        return image;
    }

    private static byte[] Elf => TestImages.Kernel(size: 5000);

    private static byte[] Packed => TestImages.Packed("gzip", TestImages.Kernel(size: 50_000));

    public static TheoryData<string, byte[]> Bad => new()
    {
        { "is empty", [] },
        { "begins neither", [0] },
        { "begins neither", new byte[100_000] },
        { "begins neither", RandomBytes(100_000) },
        { "the file", Elf[..5] },
        { "the file", Elf[..40] },
        { "EI_CLASS", With(Elf, 4, 3) },
        { "EI_DATA", With(Elf, 5, 2) },
        { "EI_VERSION", With(Elf, 6, 9) },
        { "e_type", With(Elf, 0x10, 1) },
        { "e_machine", With(Elf, 0x12, 183) },
        { "e_machine", With(TestImages.OnePage(), 0x12, 40) },
        { "e_phentsize", With(Elf, 0x36, 0) },
        { "e_phnum", With(Elf, 0x38, 0xff, 0xff) },
        { "e_phnum", With(Elf, 0x38, 0, 0) },
        { "e_phoff", With64(Elf, 0x20, 1 << 20) },
        { "e_phoff", With64(Elf, 0x20, ulong.MaxValue) },
        { "p_filesz", With64(Elf, 64 + 32, 1 << 19) },
        { "p_filesz", With64(With64(Elf, 64 + 32, 1 << 19), 64 + 40, 1 << 19) },
        { "p_filesz", With64(Elf, 64 + 8, ulong.MaxValue) },
        { "p_paddr", With64(Elf, 64 + 24, ulong.MaxValue - 10) },
        { "p_paddr", With64(Elf, 64 + 24, 0x2000) },
        { "p_paddr", With64(Elf, 64 + 24, 0xf0000) },
        { "another segment", With64(Elf, 64 + 40, 0x300000) },
        { "needs", With64(Elf, 64 + 40, ulong.MaxValue - 0x100000) },
        { "needs", With64(Elf, 64 + 24, 0x1_0000_0000) },
        { "e_entry", With64(TestImages.Kernel(pvh: false, size: 5000), 0x18, 0x5000_0000) },
        { "the PVH note's entry", TestImages.OnePage(entry: 0x200000) },
        { "n_namesz", With(TestImages.OnePage(), 116, 0xff, 0xff, 0xff, 0xff) },
        { "n_descsz", With(TestImages.OnePage(), 120, 0xff, 0xff, 0xff, 0xff) },
        { "n_descsz", With(TestImages.OnePage(), 140, 2) },
        { "no PVH note", With(TestImages.OnePage(), 144, 17) },
        { "PT_NOTE", With(TestImages.OnePage(), 52 + 16, 0xff, 0xff, 0xff, 0xff) },
        { "no PT_LOAD", With(With(TestImages.OnePage(), 52, 0), 84, 0) },
        { "hdr.version", With(Packed, 0x206, 7) },
        { "hdr.setup_sects", With(Packed, 0x1f1, 255) },
        { "hdr.payload_length", With(Packed, 0x24c, 0xff, 0xff, 0xff, 0xff) },
        { "hdr.payload_length", With(Packed, 0x24c, 0, 0, 0, 0) },
        { "hdr.payload_length", With(Packed, 0x248, 0xff, 0xff, 0xff, 0xff) },
        { "hdr.payload_length", With(Packed, 0x1f1, 0) },
        { "the payload", With(Packed, 0x248, 65) },
        { "last word", With(Packed, Packed.Length - 36, 0xff, 0xff, 0xff, 0xff) },
        { "last word", With(Packed, Packed.Length - 36, 0, 0, 0, 0) },
        { "the payload", With(Packed, Packed.Length - 36, 0, 0, 0x10, 0) },
        { "needs", With(Packed, Packed.Length - 36, 0, 0, 0, 0x20) },
        { "hdr.payload_length", Packed[..(Packed.Length / 2)] },
        { "hdr.loadflags", With(TestImages.Plain(), 0x211, 0) },
        { "hdr.pref_address", With(TestImages.Plain(), 0x25c, 1) },
        { "hdr.setup_sects", With(TestImages.Plain(), 0x1f1, 255) },
        { "protected-mode code", TestImages.Plain()[..(1024 + 0x200)] },
        { "needs", With(TestImages.Plain(), 0x25b, 0x70) },
        { "a program for Linux", TestImages.Program(3, "/lib64/ld-linux-x86-64.so.2\0"u8.ToArray()) },
        { "a program for Linux", TestImages.Program(4, TestImages.AbiTag) },
        { "a program for Linux", File.ReadAllBytes("/proc/self/exe") },
        { "not an ELF", TestImages.Packed("gzip", new byte[100_000]) },
    };

    [Theory]
    [MemberData(nameof(Bad), DisableDiscoveryEnumeration = true)]
    public void G1_IsRefusedByName(string field, byte[] image)
    {
        var clock = Stopwatch.StartNew();
        fixture.Refused(image, field);
        Assert.True(clock.ElapsedMilliseconds < 1000, $"{clock.ElapsedMilliseconds} ms");
    }

    [NeedsXzTheory]
    [InlineData("gzip")]
    [InlineData("bzip2")]
    [InlineData("lzma")]
    [InlineData("xz")]
    [InlineData("lz4")]
    [InlineData("zstd")]
    public void DamagedPayloadIsRefused(string compression)
    {
        byte[] image = TestImages.Packed(compression, TestImages.Kernel());
        // A whole kilobyte of noise in the middle: no format takes that, lz4's data has no checksum but loses its sequence.
        RandomBytes(1024).CopyTo(image, image.Length / 2);
        try
        {
            fixture.Load(image);
            Assert.Equal("lz4", compression);
        }
        catch (MicroVmException e)
        {
            Assert.Equal(FailureKind.Image, e.Kind);
        }
    }

    [Fact]
    public void TooLittleMemoryIsSaid()
    {
        var e = fixture.Refused(TestImages.Kernel(), "needs 4 MiB", fixture.Guest(2 << 20));
        Assert.Contains("--memory 4M", e.Message, StringComparison.Ordinal);
        fixture.Refused(TestImages.Packed("zstd", TestImages.Kernel()), "needs 4 MiB", fixture.Guest(2 << 20));
    }

    [Theory]
    [InlineData("missing", "No such file")]
    [InlineData("", "No such file")]
    [InlineData("with\0nul", "No such file")]
    [InlineData("/", "a directory")]
    [InlineData("/dev/null", "a character device")]
    public void G1_WhatIsNoFileIsRefused(string path, string problem)
    {
        var e = Assert.Throws<MicroVmException>(() => fixture.LoadFile(path));
        Assert.Equal(FailureKind.Image, e.Kind);
        Assert.Contains(problem, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void G1_AFifoDoesNotHang()
    {
        string path = Path.Combine(fixture.Folder, "fifo");
        using (Process make = Process.Start("mkfifo", path)) make.WaitForExit();
        var e = Assert.Throws<MicroVmException>(() => fixture.LoadFile(path));
        Assert.Contains("a FIFO", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void G1_ASparseGiantIsRefusedAtOnce(bool header)
    {
        string path = fixture.Write(header ? Packed[..1024] : [], "giant");
        using (FileStream file = File.OpenWrite(path)) file.SetLength(8L << 30);
        var clock = Stopwatch.StartNew();
        var e = Assert.Throws<MicroVmException>(() => fixture.LoadFile(path));
        Assert.Equal(FailureKind.Image, e.Kind);
        Assert.True(clock.ElapsedMilliseconds < 500, $"{clock.ElapsedMilliseconds} ms");
    }

    [Fact]
    public void APayloadOfNothingIsRefusedAtOnce()
    {
        byte[] image = TestImages.BzImage([0x5d, 0, 0, 0x80, 0, 255, 255, 255, 255, 255, 255, 255, 255], 1 << 20);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x24c), 48 << 20);
        string path = fixture.Write(image, "hollow");
        using (FileStream file = File.OpenWrite(path)) file.SetLength(8L << 30);
        var e = Assert.Throws<MicroVmException>(() => fixture.LoadFile(path));
        Assert.Contains("has a hole", e.Message, StringComparison.Ordinal);
    }

    private static byte[] RandomBytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(7).NextBytes(bytes);
        return bytes;
    }
}
