using System.Text;
using MicroVm.Kvm;

namespace MicroVm.Vfio;

/// <summary>Text of files whose size the kernel does not tell.</summary>
internal static class HostText
{
    private const int MaxBytes = 1 << 20;

    /// <summary>The whole text, at most 1 MiB; null if it cannot be read.</summary>
    internal static string? TryRead(string path)
    {
        using HostFile? file = HostFile.TryOpen(path, Libc.O_RDONLY, out _);
        if (file is null) return null;
        using MemoryStream all = new();
        byte[] piece = new byte[4096];
        long count;
        while (all.Length < MaxBytes && (count = file.Read(piece, (ulong)all.Length)) > 0) all.Write(piece, 0, (int)count);
        return Encoding.UTF8.GetString(all.GetBuffer(), 0, (int)all.Length);
    }
}
