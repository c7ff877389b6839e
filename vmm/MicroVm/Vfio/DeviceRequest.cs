using System.Globalization;

namespace MicroVm.Vfio;

/// <summary>An assigned device as the user named it: <c>0000:00:03.0</c>, and how it is opened. Descriptors are those that another program opened.</summary>
/// <param name="Address">Its address on the host, as it was written.</param>
internal sealed record DeviceRequest(string Address)
{
    internal const string Form = "BDF[,group=FD,container=FD] or BDF,iommufd=on|off|FD[,cdev=FD]";

    /// <summary>Open <c>/dev/vfio/N</c> of its group, or null.</summary>
    internal int? Group { get; private set; }

    /// <summary>Open <c>/dev/vfio/vfio</c>, or null.</summary>
    internal int? Container { get; private set; }

    /// <summary>Open <c>/dev/vfio/devices/vfioN</c>, or null.</summary>
    internal int? Cdev { get; private set; }

    /// <summary>Open <c>/dev/iommu</c>, or null.</summary>
    internal int? Iommufd { get; private set; }

    /// <summary>Through iommufd, by the device's own file; through a container, by its group's; null: as the host has it.</summary>
    internal bool? ByIommufd { get; private set; }

    /// <summary>Something of it came open.</summary>
    internal bool HasDescriptors => (Group ?? Container ?? Cdev ?? Iommufd) is not null;

    /// <exception cref="MicroVmException">It is of another form.</exception>
    internal static DeviceRequest Parse(string text)
    {
        string[] parts = text.Split(',');
        DeviceRequest request = new(parts[0]);
        HashSet<string> before = [];
        foreach (string part in parts.AsSpan(1))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string value = part[(equals + 1)..];
            bool? byIommufd = true;
            string key = equals < 0 ? "" : part[..equals];
            if (!before.Add(key)) throw MicroVmException.Usage(
                $"'{key}' of a device is given twice", $"--device {text}", "Remove one of them");
            switch (key)
            {
                case "group": (request.Group, byIommufd) = (Descriptor(value, text), false); break;
                case "container": (request.Container, byIommufd) = (Descriptor(value, text), false); break;
                case "cdev": request.Cdev = Descriptor(value, text); break;
                case "iommufd" when value == "on": break;
                case "iommufd" when value == "off": byIommufd = false; break;
                case "iommufd": request.Iommufd = Descriptor(value, text); break;
                default: throw Bad(text);
            }
            if (request.ByIommufd is { } other && other != byIommufd) throw Bad(text);
            request.ByIommufd = byIommufd;
        }
        return request;
    }

    /// <summary>Whether it is opened through iommufd: where that was said, or where the group has no file and the device has one.</summary>
    internal bool UsesIommufd(HostPci pci, HostFunction function) =>
        ByIommufd ?? (function.Cdev is not null && function.Group is { } group && !pci.HasGroupFile(group));

    private static int Descriptor(string digits, string text) => int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int fd) ? fd : throw Bad(text);

    private static MicroVmException Bad(string text) => MicroVmException.Usage("that is no device", $"--device {text}", $"Give {Form}, for example 0000:00:03.0");
}
