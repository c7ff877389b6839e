using System.Diagnostics;
using System.Runtime.Versioning;
using MicroVm.Boot;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Tests.Host;
using Xunit;

namespace MicroVm.Tests.Boot;

[SupportedOSPlatform("linux")]
public sealed class KernelCacheTests : IDisposable
{
    private readonly BootFixture _fixture = new();

    private string Entry => Assert.Single(Directory.GetFiles(_fixture.CacheFolder));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TheSecondStartMaps(bool packed)
    {
        // A big text, so that an ELF is worth caching too.
        byte[] elf = TestImages.Kernel(size: 1_200_000), image = packed ? TestImages.Packed("zstd", elf) : elf;
        string path = Settled(image);
        GuestMemory first = _fixture.Guest(), second = _fixture.Guest();
        LoadedKernel a = _fixture.LoadFile(path, first, cache: true), b = _fixture.LoadFile(path, second, cache: true);
        Assert.Equal((packed ? KernelOrigin.Unpacked : KernelOrigin.Copied, KernelOrigin.Cached), (a.Origin, b.Origin));
        Assert.Equal(a with { Origin = b.Origin, Header = null }, b with { Header = null });
        Assert.Equal(a.Header.HasValue, b.Header.HasValue);
        Assert.True(BootFixture.Bytes(first, 0, 8 << 20).AsSpan().SequenceEqual(BootFixture.Bytes(second, 0, 8 << 20)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Entry));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_fixture.CacheFolder));
    }

    [Fact]
    public void TheGuestWritesItsOwnCopy()
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        _fixture.LoadFile(path, cache: true);
        GuestMemory first = _fixture.Guest(), second = _fixture.Guest();
        _fixture.LoadFile(path, first, cache: true);
        byte was = BootFixture.Value<byte>(first, TestImages.LoadAddress);
        Assert.True(first.TryWrite(TestImages.LoadAddress, (byte)~was));
        Assert.Equal(KernelOrigin.Cached, _fixture.LoadFile(path, second, cache: true).Origin);
        Assert.Equal(was, BootFixture.Value<byte>(second, TestImages.LoadAddress));
    }

    [Ext4Fact]
    public void AnEntryThatHasItsNameHasItsBytesAfterACrashOfTheHost()
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        string image = Mounted.Ext4(_fixture.Folder), copy = image + ".copy";
        GuestMemory first = _fixture.Guest(), second = _fixture.Guest();
        // A file system that writes lengths and names when it likes, and the bytes later.
        using (Mounted before = new("ext4", _fixture.Folder, "loop,data=writeback,nodelalloc", image))
        {
            Assert.Equal(KernelOrigin.Unpacked, Load(path, first, before.Path + "/cache"));
            using HostFile folder = HostFile.TryOpen(before.Path + "/cache", Libc.O_RDONLY | Libc.O_DIRECTORY, out _)!;
            Assert.Equal(0, folder.Flush());
            // What a disk has at this moment.
            File.Copy(image, copy);
        }
        using Mounted after = new("ext4", _fixture.Folder, "loop", copy);
        Assert.Equal(KernelOrigin.Cached, Load(path, second, after.Path + "/cache"));
        Assert.True(BootFixture.Bytes(first, 0, 8 << 20).AsSpan().SequenceEqual(BootFixture.Bytes(second, 0, 8 << 20)));

        static KernelOrigin Load(string path, GuestMemory memory, string cache)
        {
            using BootFile file = BootFile.OpenKernel(path);
            return KernelLoader.Load(memory, file, () => KernelCache.Open(cache)).Origin;
        }
    }

    public static TheoryData<string> Damages => ["empty", "short", "long", "magic", "key", "segment", "checksum", "random", "not ours to read", "link", "folder"];

    [Theory]
    [MemberData(nameof(Damages))]
    public void ADamagedEntryIsIgnoredAndMadeAgain(string damage)
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        _fixture.LoadFile(path, cache: true);
        Damage(Entry, damage);
        GuestMemory memory = _fixture.Guest();
        Assert.Equal(KernelOrigin.Unpacked, _fixture.LoadFile(path, memory, cache: true).Origin);
        // A folder in its place cannot be replaced, and is no reason to fail.
        if (damage == "folder") return;
        Assert.Equal(KernelOrigin.Cached, _fixture.LoadFile(path, cache: true).Origin);
    }

    [Fact]
    public void AnotherContentIsAnotherKernel()
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        _fixture.LoadFile(path, cache: true);
        DateTime time = File.GetLastWriteTimeUtc(path);
        // Same file, same size, same time of change as far as a user can set it.
        byte[] bytes = File.ReadAllBytes(path);
        bytes[^1] ^= 1;
        using (FileStream file = File.OpenWrite(path)) file.Write(bytes);
        File.SetLastWriteTimeUtc(path, time);
        Thread.Sleep(30);
        Assert.Equal(KernelOrigin.Unpacked, _fixture.LoadFile(path, cache: true).Origin);
        Assert.Equal(KernelOrigin.Cached, _fixture.LoadFile(path, cache: true).Origin);
        Assert.NotNull(Entry);
    }

    [Fact]
    public void AFileThatHasJustChangedIsNotKept()
    {
        string path = _fixture.Write(TestImages.Packed("zstd", TestImages.Kernel()));
        // Loading is quicker than a tick of the clock, except on a machine that is busy.
        long start = Stopwatch.GetTimestamp();
        using FileStream touch = File.OpenWrite(path);
        touch.WriteByte(0);
        touch.Flush();
        _fixture.LoadFile(path, cache: true);
        if (Stopwatch.GetElapsedTime(start).TotalMilliseconds < 15) Assert.Empty(Directory.GetFiles(_fixture.CacheFolder));
    }

    [Fact]
    public void ACachedKernelThatDoesNotFitIsRefused()
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        _fixture.LoadFile(path, cache: true);
        var e = Assert.Throws<MicroVmException>(() => _fixture.LoadFile(path, _fixture.Guest(2 << 20), cache: true));
        Assert.Contains("--memory 4M", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("open to others")]
    [InlineData("link")]
    [InlineData("file")]
    [InlineData("missing parent")]
    public void AFolderThatIsNotOursAloneIsNoCache(string what)
    {
        string folder = _fixture.CacheFolder, real = Path.Combine(_fixture.Folder, "real");
        switch (what)
        {
            case "open to others":
                Directory.CreateDirectory(folder, (UnixFileMode)0x1ed);
                break;
            case "link":
                Directory.CreateDirectory(real, (UnixFileMode)0x1c0);
                Directory.CreateSymbolicLink(folder, real);
                break;
            case "file":
                File.WriteAllText(folder, "");
                break;
            default:
                folder = Path.Combine(real, "deeper", "still");
                break;
        }
        Assert.Null(KernelCache.Open(folder));
    }

    [Fact]
    public void ManyAtOnceAgree()
    {
        string path = Settled(TestImages.Packed("gzip", TestImages.Kernel(size: 400_000)));
        GuestMemory[] guests = [.. Enumerable.Range(0, 16).Select(_ => _fixture.Guest())];
        Parallel.For(0, guests.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => _fixture.LoadFile(path, guests[i], cache: true));
        byte[] expected = BootFixture.Bytes(guests[0], 0, 8 << 20);
        Assert.All(guests, g => Assert.True(expected.AsSpan().SequenceEqual(BootFixture.Bytes(g, 0, 8 << 20))));
        Assert.Equal(KernelOrigin.Cached, _fixture.LoadFile(path, cache: true).Origin);
        Assert.DoesNotContain(Directory.GetFiles(_fixture.CacheFolder), f => f.EndsWith(".new", StringComparison.Ordinal));
    }

    [Fact]
    public void AnEntryThatIsBeingWrittenByAnotherIsLeftAlone()
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        _fixture.LoadFile(path, cache: true);
        string entry = Entry;
        File.Move(entry, entry + ".new");
        Assert.Equal(KernelOrigin.Unpacked, _fixture.LoadFile(path, cache: true).Origin);
        Assert.Equal(entry + ".new", Entry);
    }

    [Fact]
    public void TheFolderIsBounded()
    {
        string path = Settled(TestImages.Packed("zstd", TestImages.Kernel()));
        Directory.CreateDirectory(_fixture.CacheFolder, (UnixFileMode)0x1c0);
        string other = Path.Combine(_fixture.CacheFolder, "notes");
        File.WriteAllText(other, "not ours to remove");
        string[] old = [.. Enumerable.Range(0, KernelCache.MaxFiles + 3).Select(i => Path.Combine(_fixture.CacheFolder, $"kernel-{i:x16}"))];
        // The higher the number, the longer ago it was stored.
        for (int i = 0; i < old.Length; i++)
        {
            File.WriteAllText(old[i], "old");
            File.SetLastWriteTimeUtc(old[i], DateTime.UtcNow.AddDays(-1 - i));
        }
        _fixture.LoadFile(path, cache: true);
        Assert.Equal(KernelOrigin.Cached, _fixture.LoadFile(path, cache: true).Origin);
        Assert.Equal(old[..(KernelCache.MaxFiles - 1)], old.Where(File.Exists));
        Assert.Equal(KernelCache.MaxFiles, Directory.GetFiles(_fixture.CacheFolder, "kernel-*").Length);
        Assert.True(File.Exists(other));
    }

    public void Dispose() => _fixture.Dispose();

    private string Settled(byte[] image)
    {
        string path = _fixture.Write(image);
        Thread.Sleep(30);
        return path;
    }

    private static void Damage(string entry, string how)
    {
        long length = new FileInfo(entry).Length;
        switch (how)
        {
            case "link":
                File.Move(entry, entry + ".moved");
                File.CreateSymbolicLink(entry, entry + ".moved");
                return;
            case "folder":
                File.Delete(entry);
                Directory.CreateDirectory(Path.Combine(entry, "full"));
                return;
            case "not ours to read":
                File.SetUnixFileMode(entry, (UnixFileMode)0x1a4);
                return;
        }
        using FileStream file = File.OpenWrite(entry);
        switch (how)
        {
            case "empty": file.SetLength(0); break;
            case "short": file.SetLength(length - 1); break;
            case "long": file.SetLength(length + 4096); break;
            default:
                file.Position = length - 4096 + (how switch { "magic" => 0, "key" => 0x18, "segment" => 0x100, "checksum" => 0xff8, _ => 0x40 });
                file.Write(how == "random" ? Enumerable.Range(0, 900).Select(i => (byte)(i * 37)).ToArray() : [0x5a, 0xa5]);
                break;
        }
    }
}
