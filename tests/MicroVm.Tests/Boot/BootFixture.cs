using MicroVm.Boot;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Boot;

/// <summary>A folder that goes away, and guests to load into.</summary>
public sealed class BootFixture : IDisposable
{
    private readonly List<GuestMemory> _guests = [];

    public string Folder { get; } = Directory.CreateTempSubdirectory("microvm-boot-").FullName;

    public string CacheFolder => Path.Combine(Folder, "cache");

    public GuestMemory Guest(ulong size = 64 << 20)
    {
        GuestMemory memory = GuestMemory.Allocate(size, 0xc000_0000, 0x1_0000_0000);
        _guests.Add(memory);
        return memory;
    }

    public string Write(byte[] bytes, string name = "kernel")
    {
        string path = Path.Combine(Folder, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    internal LoadedKernel Load(byte[] bytes, GuestMemory? memory = null) => LoadFile(Write(bytes), memory);

    internal LoadedKernel LoadFile(string path, GuestMemory? memory = null, bool cache = false)
    {
        using BootFile file = BootFile.OpenKernel(path);
        return KernelLoader.Load(memory ?? Guest(), file, cache ? () => KernelCache.Open(CacheFolder) : null);
    }

    /// <summary>Loads what must be refused, and checks that the message names the file and the field.</summary>
    internal MicroVmException Refused(byte[] bytes, string field, GuestMemory? memory = null)
    {
        string path = Write(bytes);
        var e = Assert.Throws<MicroVmException>(() => LoadFile(path, memory));
        Assert.Equal(FailureKind.Image, e.Kind);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
        Assert.Contains(field, e.Message, StringComparison.Ordinal);
        Assert.EndsWith(".", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
        return e;
    }

    internal static byte[] Bytes(GuestMemory memory, ulong address, int length)
    {
        Assert.True(memory.TryRange(address, (ulong)length, out HostRange range));
        return range.Span.ToArray();
    }

    internal static T Value<T>(GuestMemory memory, ulong address) where T : unmanaged
    {
        Assert.True(memory.TryRead(address, out T value));
        return value;
    }

    public void Dispose()
    {
        foreach (GuestMemory memory in _guests) memory.Dispose();
        Directory.Delete(Folder, true);
    }
}

/// <summary>A theory over images that only the host's <c>xz</c> can make.</summary>
public sealed class NeedsXzTheoryAttribute : TheoryAttribute
{
    public NeedsXzTheoryAttribute() => Skip = TestImages.Has("xz") ? null : "there is no xz on this machine";
}
