using System.Buffers.Text;

namespace MicroVm.Kvm;

/// <summary>What the driver of a block device says that it can, in sysfs.</summary>
internal static class HostBlockQueue
{
    /// <summary>Bytes of the pieces in which a range can be given back and reads as zeroes from then on
    /// (FALLOC_FL_PUNCH_HOLE); 0 if it cannot, or if nothing says so.</summary>
    /// <remarks>Linux answers EOPNOTSUPP to that where a device knows no write-zeroes, and where it knows no discard it
    /// writes zeroes and gives nothing back.</remarks>
    /// <param name="device">Number of the device (<c>st_rdev</c>).</param>
    /// <param name="sysfs">Where sysfs is; tests give a folder of their own.</param>
    internal static uint DiscardGranularity(ulong device, string sysfs = "/sys")
    {
        ulong major = (device >> 8 & 0xfff) | (device >> 32 & ~0xffful);
        ulong minor = (device & 0xff) | (device >> 12 & 0xffff_ff00);
        string folder = $"{sysfs}/dev/block/{major}:{minor}";
        // A partition has the queue of its disk, whose folder it lies in.
        return Granularity(folder + "/queue") ?? Granularity(folder + "/../queue") ?? 0;
    }

    private static uint? Granularity(string queue)
    {
        if (Read(queue + "/discard_granularity") is not { } granularity) return null;
        bool frees = Read(queue + "/discard_max_bytes") > 0 && Read(queue + "/write_zeroes_max_bytes") > 0;
        return frees && granularity <= uint.MaxValue ? (uint)granularity : 0;
    }

    private static ulong? Read(string path)
    {
        Span<byte> text = stackalloc byte[32];
        using HostFile? file = HostFile.TryOpen(path, Libc.O_RDONLY, out _);
        long count = file?.Read(text, 0) ?? 0;
        return count > 0 && Utf8Parser.TryParse(text[..(int)count], out ulong value, out _) ? value : null;
    }
}
