namespace MicroVm.Vfio;

/// <summary>Which PCI functions the host's own file systems and swap are on: those it cannot give away.</summary>
/// <remarks>From a mount to its block device, through what that one is made of (partitions, dm, md), up its path in sysfs, on which each PCI function below the root complex is a folder.</remarks>
internal sealed class HostMounts(string root)
{
    private const int MaxDepth = 16;

    /// <summary>What of the host is on a function: a mount point, or null.</summary>
    internal string? UseOf(string address)
    {
        foreach (string line in Lines("/proc/self/mountinfo"))
        {
            // proc(5): id, parent, major:minor, root, mount point, ...
            string[] fields = line.Split(' ');
            if (fields.Length > 4 && IsOn($"{root}/sys/dev/block/{fields[2]}", address, 0)) return fields[4];
        }
        foreach (string line in Lines("/proc/swaps"))
        {
            string device = line.Split(' ', '\t')[0];
            if (device.StartsWith("/dev/", StringComparison.Ordinal) && IsOn($"{root}/sys/class/block/{device[5..]}", address, 0)) return $"swap on {device}";
        }
        return null;
    }

    private bool IsOn(string block, string address, int depth)
    {
        if (depth > MaxDepth || !Directory.Exists(block)) return false;
        string path = Resolve(block);
        if (path.Contains($"/{address}/", StringComparison.Ordinal)) return true;
        string slaves = path + "/slaves";
        if (!Directory.Exists(slaves)) return false;
        foreach (string below in Directory.GetFileSystemEntries(slaves))
        {
            if (IsOn(below, address, depth + 1)) return true;
        }
        return false;
    }

    private static string Resolve(string path) => new DirectoryInfo(path).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? path;

    private string[] Lines(string path)
    {
        string? text = HostText.TryRead(root + path);
        return text is null ? [] : text.Split('\n');
    }
}
