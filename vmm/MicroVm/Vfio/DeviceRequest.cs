using System.Globalization;

namespace MicroVm.Vfio;

/// <summary>An assigned device as the user named it: <c>0000:00:03.0</c>, or <c>0000:00:03.0,group=7,container=6</c> with descriptors that another program opened.</summary>
/// <param name="Address">Its address on the host, as it was written.</param>
/// <param name="Group">Open <c>/dev/vfio/N</c> of its group, or null.</param>
/// <param name="Container">Open <c>/dev/vfio/vfio</c>, or null.</param>
internal sealed record DeviceRequest(string Address, int? Group, int? Container)
{
    internal const string Form = "BDF[,group=FD,container=FD]";

    /// <exception cref="MicroVmException">It is of another form.</exception>
    internal static DeviceRequest Parse(string text)
    {
        string[] parts = text.Split(',');
        int? group = null, container = null;
        foreach (string part in parts.AsSpan(1))
        {
            if (part.StartsWith("group=", StringComparison.Ordinal)) group = Descriptor(part[6..], text);
            else if (part.StartsWith("container=", StringComparison.Ordinal)) container = Descriptor(part[10..], text);
            else throw Bad(text);
        }
        return new DeviceRequest(parts[0], group, container);
    }

    private static int Descriptor(string digits, string text) => int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int fd) ? fd : throw Bad(text);

    private static MicroVmException Bad(string text) => MicroVmException.Usage("that is no device", $"--device {text}", $"Give {Form}, for example 0000:00:03.0");
}
